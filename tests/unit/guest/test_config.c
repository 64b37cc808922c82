#include "guest/core/config.h"
#include <string.h>
#include "guest/core/drive.h"
#include "guest/core/shell_split.h"

/* A file as read and rewritten, and how many complaints there are. */
/* clang-format off */
static const struct {
    const char *text, *rewritten;
    guint warnings;
} files[] = {
    { "", "", 0 },
    { "cores: 2\n#b\n#a%3A\n", "#b\n#a%3A\ncores: 2\n", 0 },
    { "\n\nname:   web  \n\n", "name: web\n", 0 },
    { "onboot: Yes\n", "onboot: 1\n", 0 },
    { "cores: two\n", "cores: two\n", 1 }, /* reported, absent, but not lost */
    { "cdrom: none,media=cdrom\n", "ide2: none,media=cdrom\n", 0 },
    { "cores: 4\nsmp: 3\n", "sockets: 3\n", 0 },
    { "ide0: foo.raw\n", "ide0: local:foo.raw\n", 0 },
    { "name: \"web\"\nargs: \"-x\"\n", "args: \"-x\"\nname: web\n", 0 },
    { "boot: \n", "boot: \n", 0 },
    { "frobnicate: 7\nzeta-x: a b\n", "frobnicate: 7\nzeta-x: a b\n", 0 },
    { "scsi0: st:v,st:w\n", "scsi0: st:v,st:w\n", 1 },
    { "scsi0: st:v,mbps_max=5\n", "scsi0: st:v,mbps_max=5\n", 1 },
    { "no colon here\nUPPER: 1\n", "no colon here\nUPPER: 1\n", 2 },
    { "cores: 1\n[pending]\ncores: 4\n", "cores: 1\n\n[PENDING]\ncores: 4\n", 0 },
    { "[PENDING]\ndelete: net1 !scsi1\n", "\n[PENDING]\ndelete: net1,!scsi1\n", 0 },
    { "[foo]\ncores: 1\n[foo]\ncores: 2\n", "\n[foo]\ncores: 2\n", 1 },
    { "[:3]\nwhat: ever\n# kept\n\nname: x\n", "\n[:3]\nwhat: ever\n# kept\nname: x\n", 1 },
    { "unused0: st:vm-100-disk-0\nscsi0: st:vm-100-disk-0,size=4G\n", "scsi0: st:vm-100-disk-0,size=4G\n", 0 },
    { "[bb]\na: 1\n[PENDING]\nname: n\n[special:cloudinit]\nname: old\n[aa]\nb: 2\n",
      "\n[PENDING]\nname: n\n\n[aa]\nb: 2\n\n[bb]\na: 1\n", 0 }, /* no cloud-init drive: no section */
    { "ide2: st:vm-100-cloudinit,media=cdrom\n[special:cloudinit]\nname: old\n",
      "ide2: st:vm-100-cloudinit,media=cdrom\n\n[special:cloudinit]\nname: old\n", 0 },
    { "[PENDING]\n#\n", "\n[PENDING]\n#\n", 0 },
    { "#a\n[PENDING]\n#b\n", "#a\n\n[PENDING]\n#b\n", 0 },
    { "#tail  \n#\n#\n", "#tail\n", 0 },
    { "#%00x%zz%4\n", "#x%25zz%254\n", 0 },
};
/* clang-format on */

static void
test_rewritten(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_test_message("case %zu: %s", i, files[i].text);
        g_autoptr(GuestConfig) config = guest_config_parse(files[i].text);
        g_autofree char *text = guest_config_text(config);
        g_assert_cmpstr(text, ==, files[i].rewritten);
        g_assert_cmpuint(guest_config_warnings(config)->len, ==, files[i].warnings);
        /* Written once, it stays as it is. */
        g_autoptr(GuestConfig) again = guest_config_parse(text);
        g_autofree char *rewritten = guest_config_text(again);
        g_assert_cmpstr(rewritten, ==, text);
    }
}

static void
test_description(void)
{
    g_autoptr(GuestConfig) config =
        guest_config_parse("#one\n#50%25 %C3%A4\ncores: 1\ndescription: two\n");

    g_assert_cmpstr(guest_get(guest_config_main(config), "description"), ==, "one\n50% ä\ntwo");
    guest_set(guest_config_main(config), "description", "50% ä");
    g_autofree char *text = guest_config_text(config);
    g_assert_cmpstr(text, ==, "#50%25 %C3%A4\ncores: 1\n");
    guest_set(guest_config_main(config), "description", "a\n[evil]\nlock: x");
    g_autofree char *injected = guest_config_text(config);
    g_assert_cmpstr(injected, ==, "#a\n#[evil]\n#lock%3A x\ncores: 1\n");
}

static void
test_bad_line_replaced(void)
{
    g_autoptr(GuestConfig) config = guest_config_parse("cores: two\nname: x\n");

    g_assert_null(guest_get(guest_config_main(config), "cores"));
    guest_set(guest_config_main(config), "cores", "2");
    g_autofree char *text = guest_config_text(config);
    g_assert_cmpstr(text, ==, "cores: 2\nname: x\n");
}

static void
test_random_round_trip(void)
{
    static const char *const pieces[] = { "cores: 2",
                                          "#text %41",
                                          "[PENDING]",
                                          "[snap1]",
                                          "[x",
                                          "scsi0: st:v",
                                          "junk",
                                          "delete: cores",
                                          "net0: virtio=02:00:00:00:00:01",
                                          "",
                                          "foo: bar",
                                          "boot: ",
                                          "[special:cloudinit]",
                                          "cores: x" };

    for (int round = 0; round < 2000; round++) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (int n = g_test_rand_int_range(0, 15); n > 0; n--) {
            g_string_append_printf(text, "%s\n",
                                   pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
        }
        g_autoptr(GuestConfig) config = guest_config_parse(text->str);
        g_autofree char *once = guest_config_text(config);
        g_autoptr(GuestConfig) again = guest_config_parse(once);
        g_autofree char *twice = guest_config_text(again);
        g_assert_cmpstr(once, ==, twice);
    }
}

static void
test_shell_split(void)
{
    static const struct {
        const char *text;
        const char *words[6];
    } cases[] = {
        { "", { NULL } },
        { "  a  b ", { "a", "b" } },
        { "-append \"console=ttyS0 quiet\" -x", { "-append", "console=ttyS0 quiet", "-x" } },
        { "'a b'c\\ d", { "a bc d" } },
        { "\"a\\\"b\" 'c\\d' \"e\\f\"", { "a\"b", "c\\d", "e\\f" } },
        { "# no comment", { "#", "no", "comment" } },
        { "'' \"\"", { "", "" } },
        { "$HOME `x` *", { "$HOME", "`x`", "*" } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) words = guest_shell_split(cases[i].text, NULL);
        g_test_message("%s", cases[i].text);
        for (guint w = 0; w < words->len; w++) {
            g_assert_cmpstr(words->pdata[w], ==, cases[i].words[w]);
        }
        g_assert_null(cases[i].words[words->len]);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(guest_shell_split("a 'b", &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
}

static void
test_boot_default(void)
{
    g_autoptr(GuestConfig) config =
        guest_config_parse("net3: virtio=02:00:00:00:00:01\nvirtio1: st:9/vm-9-disk-1.raw\nscsi2: "
                           "st:9/vm-9-disk-0.raw\n"
                           "ide0: st:vm-9-cloudinit,media=cdrom\nide2: st:iso/a.iso,media=cdrom\n");
    g_autofree char *order = guest_boot_default(guest_config_main(config));
    g_autoptr(GuestConfig) empty = guest_config_parse("cores: 1\n");

    g_assert_cmpstr(order, ==, "order=scsi2;ide2;net3");
    g_assert_null(guest_boot_default(guest_config_main(empty)));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/config/rewritten", test_rewritten);
    g_test_add_func("/guest/config/description", test_description);
    g_test_add_func("/guest/config/bad-line-replaced", test_bad_line_replaced);
    g_test_add_func("/guest/config/random-round-trip", test_random_round_trip);
    g_test_add_func("/guest/shell-split", test_shell_split);
    g_test_add_func("/guest/boot-default", test_boot_default);
    return g_test_run();
}
