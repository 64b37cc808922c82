#include "cluster/join_token.h"
#include <string.h>

#define NOW 1790000000

static void
test_text(void)
{
    static const char *const bad[] = { "",
                                       "a#b",
                                       "a#b#c",
                                       "#b#0123456789012345678901234567890123",
                                       "a##0123456789012345678901234567890123",
                                       "a#b#0123456789012345678901234567890123#d" };
    g_autofree char *secret = join_secret_new();
    g_autofree char *other = join_secret_new();
    g_autofree char *text = join_token_text("fd00::1", "AB:CD", secret);
    g_auto(JoinToken) token = { 0 };
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(strlen(secret), ==, 64);
    g_assert_cmpstr(secret, !=, other);
    g_assert_true(join_token_parse(text, &token, &error));
    g_assert_cmpstr(token.host, ==, "fd00::1");
    g_assert_cmpstr(token.fingerprint, ==, "AB:CD");
    g_assert_cmpstr(token.secret, ==, secret);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_auto(JoinToken) none = { 0 };
        g_autoptr(GError) why = NULL;
        g_test_message("'%s'", bad[i]);
        g_assert_false(join_token_parse(bad[i], &none, &why));
        g_assert_error(why, Q_ERROR, Q_ERROR_INVALID);
    }
}

static void
refused(const char *file, const char *secret, int64_t now_s)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(join_tokens_spend(file, secret, now_s, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_DENIED);
}

static void
test_spend(void)
{
    g_autofree char *one = join_secret_new(), *two = join_secret_new();
    g_autofree char *first = join_tokens_add(NULL, one, NOW + 900, NOW);
    g_autofree char *both = join_tokens_add(first, two, NOW + 100, NOW);
    g_autoptr(GError) error = NULL;

    g_assert_null(strstr(both, one)); /* hashes only */
    refused(NULL, one, NOW);
    refused("not json", one, NOW);
    refused(both, "", NOW);
    refused(both, two, NOW + 100); /* over */
    g_autofree char *left = join_tokens_spend(both, one, NOW, &error);
    g_assert_no_error(error);
    refused(left, one, NOW); /* once */
    g_autofree char *none = join_tokens_spend(left, two, NOW + 99, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(none, ==, "{\"tokens\":[]}\n");
    /* Adding one more drops what is over. */
    g_autofree char *later = join_tokens_add(both, two, NOW + 5000, NOW + 1000);
    g_autofree char *fresh = join_tokens_add(NULL, two, NOW + 5000, NOW + 1000);
    g_assert_cmpstr(later, ==, fresh);
}

static void
test_pending(void)
{
    g_autofree char *secret = join_secret_new();
    g_autofree char *one = join_pending_add(NULL, "n2", secret, 3, NOW);
    g_autofree char *two = join_pending_add(one, "a1", "x", 1, NOW);
    g_auto(GStrv) names = join_pending_nodes(two);
    JoinPending pending;

    g_assert_cmpstr(names[0], ==, "a1");
    g_assert_cmpstr(names[1], ==, "n2");
    g_assert_null(names[2]);
    g_assert_null(strstr(two, secret));
    g_assert_true(join_pending_get(two, "n2", &pending));
    g_assert_cmpint(pending.votes, ==, 3);
    g_assert_cmpint(pending.added_s, ==, NOW);
    g_assert_true(join_pending_knows(two, "n2", secret));
    g_assert_false(join_pending_knows(two, "a1", secret));
    g_assert_false(join_pending_knows(two, "n3", secret));
    g_assert_false(join_pending_knows(NULL, "n2", secret));
    g_autofree char *left = join_pending_remove(two, "n2");
    g_assert_false(join_pending_get(left, "n2", &pending));
    g_assert_true(join_pending_get(left, "a1", &pending));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cluster/join_token/text", test_text);
    g_test_add_func("/cluster/join_token/spend", test_spend);
    g_test_add_func("/cluster/join_token/pending", test_pending);
    return g_test_run();
}
