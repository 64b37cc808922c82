#include "task/upid.h"

static void
test_round_trip(void)
{
    static const char *const cases[] = {
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qmstart:100:root@pam:",
        "UPID:node1:0000A1B2:1C0FFEE00:6B05AB47:qmmove:100-scsi0>101-scsi0:ada@pve!ci:",
        "UPID:a-b:00000001:00000000:6B05AB47:startall::root@pam:",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("'%s'", cases[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(Upid) upid = upid_parse(cases[i], &error);
        g_assert_no_error(error);
        g_autofree char *text = upid_text(upid);
        g_assert_cmpstr(text, ==, cases[i]);
    }
}

static void
test_fields(void)
{
    g_autoptr(Upid) upid =
        upid_parse("UPID:node1:0000A1B2:1C0FFEE00:6B05AB47:qmstart:100:ada@pve!ci:", NULL);

    g_assert_cmpstr(upid->node, ==, "node1");
    g_assert_cmpint(upid->pid, ==, 0xa1b2);
    g_assert_cmpuint(upid->start_ticks, ==, 0x1c0ffee00);
    g_assert_cmpint(upid->started_at_s, ==, 0x6b05ab47);
    g_assert_cmpstr(upid->type, ==, "qmstart");
    g_assert_cmpstr(upid->id, ==, "100");
    g_assert_cmpstr(upid->user, ==, "ada@pve!ci");
}

static void
test_refused(void)
{
    static const char *const cases[] = {
        "",
        "UPID",
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qmstart:100:root@pam",   /* no last colon */
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qmstart:100:root@pam:x", /* something behind it */
        "UPID:node1:0000a1b2:00C0FFEE:6B05AB47:qmstart:100:root@pam:",  /* lower case */
        "UPID:node1:0000A1B:00C0FFEE:6B05AB47:qmstart:100:root@pam:",   /* seven digits */
        "UPID:node1:00000000:00C0FFEE:6B05AB47:qmstart:100:root@pam:",  /* pid 0 */
        "UPID:node1:FFFFFFFF:00C0FFEE:6B05AB47:qmstart:100:root@pam:",  /* no pid */
        "UPID:../..:0000A1B2:00C0FFEE:6B05AB47:qmstart:100:root@pam:",  /* a path */
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qm/start:100:root@pam:",
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47::100:root@pam:",
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qmstart:../100:root@pam:",
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qmstart:100::",
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qm start:100:root@pam:",
        "UPID:node1:0000A1B2:0C0FFEE00:6B05AB47:qmstart:100:root@pam:", /* nine digits, one idle */
        "UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qm\362start:100:root@pam:",
        "upid:node1:0000A1B2:00C0FFEE:6B05AB47:qmstart:100:root@pam:",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("'%s'", cases[i]);
        g_autoptr(GError) error = NULL;
        g_assert_null(upid_parse(cases[i], &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    }
    g_autofree char *long_text = g_strnfill(5000, 'A');
    g_assert_null(upid_parse(long_text, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/upid/round-trip", test_round_trip);
    g_test_add_func("/upid/fields", test_fields);
    g_test_add_func("/upid/refused", test_refused);
    return g_test_run();
}
