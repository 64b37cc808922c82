#include "access/keys.h"
#include "access/throttle.h"
#include "cluster/pki.h"

static void
test_sign(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *key = pki_key_new(2048, &error);
    g_autofree char *public_key = pki_public_key(key, &error);
    g_autofree char *other = pki_key_new(2048, &error);
    g_autofree char *other_public = pki_public_key(other, &error);
    g_autofree char *signature = keys_sign(key, "PVE:root@pam:6B05AB47", &error);

    g_assert_no_error(error);
    g_assert_true(keys_verify(public_key, "PVE:root@pam:6B05AB47", signature));
    g_assert_false(keys_verify(public_key, "PVE:root@pam:6B05AB48", signature));
    g_assert_false(keys_verify(other_public, "PVE:root@pam:6B05AB47", signature));
    g_assert_false(keys_verify(public_key, "PVE:root@pam:6B05AB47", ""));
    g_assert_false(keys_verify(public_key, "PVE:root@pam:6B05AB47", "AAAA"));
    g_assert_false(keys_verify("no key", "PVE:root@pam:6B05AB47", signature));
    g_assert_null(keys_sign("no key", "x", &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INTERNAL);
}

/* Ten failures at once, then one in ten seconds; others go on. */
static void
test_throttle(void)
{
    g_autoptr(Throttle) throttle = throttle_new();
    int64_t now_ms = 1000000;

    for (int i = 0; i < 10; i++) {
        g_assert_cmpint(throttle_wait_s(throttle, "10.0.0.9", "a@pve", now_ms), ==, 0);
        throttle_failed(throttle, "10.0.0.9", "a@pve", now_ms);
    }
    g_assert_cmpint(throttle_wait_s(throttle, "10.0.0.9", "a@pve", now_ms), ==, 10);
    g_assert_cmpint(throttle_wait_s(throttle, "10.0.0.8", "a@pve", now_ms), ==, 10);
    g_assert_cmpint(throttle_wait_s(throttle, "10.0.0.9", "b@pve", now_ms), ==, 10);
    g_assert_cmpint(throttle_wait_s(throttle, "10.0.0.8", "b@pve", now_ms), ==, 0);
    now_ms += 10000;
    g_assert_cmpint(throttle_wait_s(throttle, "10.0.0.9", "a@pve", now_ms), ==, 0);
    throttle_failed(throttle, "10.0.0.9", "a@pve", now_ms);
    g_assert_cmpint(throttle_wait_s(throttle, "10.0.0.9", "a@pve", now_ms), ==, 10);
    now_ms += 1000000;
    g_assert_cmpint(throttle_wait_s(throttle, "10.0.0.9", "a@pve", now_ms), ==, 0);
}

static void
test_source(void)
{
    static const struct {
        const char *client, *source;
    } cases[] = {
        { "10.0.0.9", "10.0.0.9" },
        { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
        { "2001:db8:1:2::9", "2001:db8:1:2::" },
        { NULL, "here" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *source = throttle_source(cases[i].client);
        g_assert_cmpstr(source, ==, cases[i].source);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keys/sign", test_sign);
    g_test_add_func("/throttle/bucket", test_throttle);
    g_test_add_func("/throttle/source", test_source);
    return g_test_run();
}
