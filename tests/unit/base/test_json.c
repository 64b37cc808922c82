#include "base/json.h"
#include "base/sorted.h"

static void
test_text(void)
{
    /* clang-format off */
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {
        { "{\"b\":1,\"a\":[true,null,\"x\\n\\u0001\"]}", "{\"a\":[true,null,\"x\\n\\u0001\"],\"b\":1}" },
        { "[]", "[]" }, { "{}", "{}" }, { "0.25", "0.25" }, { "\"\"", "\"\"" },
    };
    /* clang-format on */
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = q_json_parse(cases[i].in, -1, &error);
        g_assert_no_error(error);
        g_autofree char *text = q_json_text(node, Q_JSON_COMPACT);
        g_assert_cmpstr(text, ==, cases[i].out);
    }
}

static void
test_pretty(void)
{
    g_autoptr(JsonObject) object = q_json_parse_object("{\"b\":[1],\"a\":{}}", -1, NULL);
    g_autofree char *text = q_json_object_text(object, Q_JSON_PRETTY);

    g_assert_cmpstr(text, ==, "{\n   \"a\" : {},\n   \"b\" : [\n      1\n   ]\n}");
}

static void
test_refused(void)
{
    static const char *const cases[] = { "", "{", "[1,]x", "{\"a\"}", "nul" };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("'%s'", cases[i]);
        g_autoptr(GError) error = NULL;
        g_assert_null(q_json_parse(cases[i], -1, &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(q_json_parse_object("[1]", -1, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
}

static void
test_members(void)
{
    g_autoptr(JsonObject) object =
        q_json_parse_object("{\"s\":\"7\",\"i\":7,\"t\":true,\"n\":null,\"o\":{}}", -1, NULL);

    g_assert_cmpint(q_json_int(object, "s", 0), ==, 7);
    g_assert_cmpint(q_json_int(object, "i", 0), ==, 7);
    g_assert_cmpint(q_json_int(object, "n", 3), ==, 3);
    g_assert_cmpint(q_json_int(object, "o", 3), ==, 3);
    g_assert_true(q_json_bool(object, "t", false));
    g_assert_true(q_json_bool(object, "s", false));
    g_assert_false(q_json_bool(object, "absent", false));
    g_assert_cmpstr(q_json_string(object, "i", "none"), ==, "none");
    g_assert_nonnull(q_json_object(object, "o"));
    g_assert_null(q_json_array(object, "o"));
}

static void
test_sorted(void)
{
    g_autoptr(GHashTable) table = g_hash_table_new(g_str_hash, g_str_equal);

    static const char *const sids[] = { "vm:101", "ct:9", "vm:1000" };

    for (size_t i = 0; i < G_N_ELEMENTS(sids); i++) {
        g_hash_table_add(table, (char *)sids[i]);
    }
    g_autoptr(GPtrArray) keys = q_sorted_keys(table);
    g_assert_cmpstr(keys->pdata[0], ==, "ct:9");
    g_assert_cmpstr(keys->pdata[1], ==, "vm:1000");
    g_assert_cmpstr(keys->pdata[2], ==, "vm:101");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/text", test_text);
    g_test_add_func("/json/pretty", test_pretty);
    g_test_add_func("/json/refused", test_refused);
    g_test_add_func("/json/members", test_members);
    g_test_add_func("/sorted/bytes", test_sorted);
    return g_test_run();
}
