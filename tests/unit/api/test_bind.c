#include <string.h>
#include "api/bind.h"

typedef struct {
    char *name;
    bool flag;
    int64_t count;
    double share;
    char *node;
    uint32_t vmid;
    char *storage;
    char *mode;
    char **list;
    char **array;
    char *text;
    char **link;
    GHashTable *extra;
    int64_t rate;
} Args;

static bool
check_even(const char *name, const char *value, GError **error)
{
    return strlen(value) % 2 == 0 || q_set_error(error, Q_ERROR_INVALID, "'%s' is odd", value);
}

static bool
describe(size_t n, ApiParam *param)
{
    static const ApiParam rows[] = {
        { .field = "memory", .kind = API_INTEGER, .optional = true, .has_min = true, .min = 16 },
        { .field = "onboot", .kind = API_BOOLEAN, .optional = true },
        { .field = "net", .kind = API_FAMILY, .has_max = true, .max = 31 },
    };

    if (n >= G_N_ELEMENTS(rows)) {
        return false;
    }
    *param = rows[n];
    return true;
}

static bool
check_key(const char *name, const char *value, GError **error)
{
    return !g_str_has_prefix(name, "net") || g_str_has_prefix(value, "virtio")
           || q_set_error(error, Q_ERROR_INVALID, "no model");
}

static const ApiSplice splice = { describe, check_key };

static const ApiParam params[] = {
    API_PARAM(Args, name, API_STRING, .max_length = 5, .min_length = 2, .pattern = "[a-z]+"),
    API_PARAM(Args, flag, API_BOOLEAN, .optional = true, .def = "1"),
    API_PARAM(Args, count, API_INTEGER, .optional = true, API_MIN(1), API_MAX(9), .def = "3"),
    API_PARAM(Args, share, API_NUMBER, .optional = true, API_MIN(0), API_MAX(1)),
    API_PARAM(Args, node, API_NODE, .optional = true),
    API_PARAM(Args, vmid, API_VMID, .optional = true),
    API_PARAM(Args, storage, API_STORAGE, .optional = true),
    API_PARAM(Args, mode, API_ENUM, .optional = true, API_VALUES("fast", "slow")),
    API_PARAM(Args, list, API_LIST, API_NAME("a-list"), .optional = true,
              .format = "pve-node-list"),
    API_PARAM(Args, array, API_ARRAY, .optional = true),
    API_PARAM(Args, text, API_TEXT, .optional = true, .check = check_even, .requires = "mode"),
    API_PARAM(Args, link, API_FAMILY, API_MAX(7)),
    API_PARAM(Args, extra, API_SPLICE, .splice = &splice),
    API_PARAM(Args, rate, API_KIB_S, .optional = true),
    { 0 },
};

static ApiArgs *
bind(const char *json, ApiOrigin origin, GError **error)
{
    g_autoptr(JsonObject) raw = q_json_parse_object(json, -1, NULL);

    g_assert_nonnull(raw);
    return api_bind(params, raw, origin, "node1", error);
}

static void
test_values(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ApiArgs) args = bind(
        "{\"name\":\"abc\",\"flag\":false,\"count\":\"7\",\"share\":0.5,\"node\":\"localhost\","
        "\"vmid\":100,\"storage\":\"nas\",\"mode\":\"slow\",\"a-list\":\"a,b;c d\","
        "\"array\":[\"x,y\",\"z\"],\"text\":\"ab\",\"link0\":\"10.0.0.1\",\"link7\":\"10.0.0.2\","
        "\"memory\":\"512\",\"onboot\":1,\"net31\":\"virtio\"}",
        API_FROM_HTTP, &error);
    g_assert_no_error(error);
    const Args *bound = args->data;

    g_assert_cmpstr(bound->name, ==, "abc");
    g_assert_false(bound->flag);
    g_assert_cmpint(bound->count, ==, 7);
    g_assert_cmpfloat(bound->share, ==, 0.5);
    g_assert_cmpstr(bound->node, ==, "node1");
    g_assert_cmpuint(bound->vmid, ==, 100);
    g_assert_cmpstr(bound->mode, ==, "slow");
    g_assert_cmpuint(g_strv_length(bound->list), ==, 4);
    g_assert_cmpstr(bound->list[3], ==, "d");
    g_assert_cmpuint(g_strv_length(bound->array), ==, 2);
    g_assert_cmpstr(bound->array[0], ==, "x,y");
    g_assert_cmpstr(bound->link[0], ==, "10.0.0.1");
    g_assert_null(bound->link[1]);
    g_assert_cmpstr(bound->link[7], ==, "10.0.0.2");
    g_assert_null(bound->link[8]);
    g_assert_cmpstr(g_hash_table_lookup(bound->extra, "memory"), ==, "512");
    g_assert_cmpstr(g_hash_table_lookup(bound->extra, "onboot"), ==, "1");
    g_assert_cmpstr(g_hash_table_lookup(bound->extra, "net31"), ==, "virtio");
    g_assert_true(g_hash_table_contains(args->given, "flag"));
    g_assert_false(g_hash_table_contains(args->given, "rate"));
}

static void
test_defaults(void)
{
    g_autoptr(ApiArgs) args = bind("{\"name\":\"abc\",\"node\":null}", API_FROM_HTTP, NULL);
    const Args *bound = args->data;

    g_assert_true(bound->flag);
    g_assert_cmpint(bound->count, ==, 3);
    g_assert_null(bound->node);
    g_assert_null(bound->list);
    g_assert_nonnull(bound->extra);
    g_assert_false(g_hash_table_contains(args->given, "count"));
}

/* One bad thing at a time: the name that is blamed, and why. */
static void
test_refused(void)
{
    static const struct {
        const char *json, *name, *why;
    } cases[] = {
        { "{}", "name", "property is missing and it is not optional" },
        { "{\"name\":\"a\"}", "name", "value must be at least 2 characters long" },
        { "{\"name\":\"abcdef\"}", "name", "value may only be 5 characters long" },
        { "{\"name\":\"ABC\"}", "name", "value does not match the regex pattern" },
        { "{\"name\":\"abc\\n\"}", "name", "value does not match the regex pattern" },
        { "{\"name\":true}", "name", "type check ('string') failed - got JSON::PP::Boolean" },
        { "{\"name\":[\"ab\"]}", "name", "type check ('string') failed - got ARRAY" },
        { "{\"name\":{}}", "name", "type check ('string') failed - got HASH" },
        { "{\"name\":\"abc\",\"flag\":\"yes\"}", "flag",
          "type check ('boolean') failed - got 'yes'" },
        { "{\"name\":\"abc\",\"flag\":2}", "flag", "type check ('boolean') failed - got '2'" },
        { "{\"name\":\"abc\",\"count\":\"1.5\"}", "count",
          "type check ('integer') failed - got '1.5'" },
        { "{\"name\":\"abc\",\"count\":\"\"}", "count", "type check ('integer') failed - got ''" },
        { "{\"name\":\"abc\",\"count\":true}", "count",
          "type check ('integer') failed - got JSON::PP::Boolean" },
        { "{\"name\":\"abc\",\"count\":0}", "count", "value must have a minimum value of 1" },
        { "{\"name\":\"abc\",\"count\":10}", "count", "value must have a maximum value of 9" },
        { "{\"name\":\"abc\",\"count\":\"9999999999999999999999\"}", "count",
          "type check ('integer') failed - got '9999999999999999999999'" },
        { "{\"name\":\"abc\",\"share\":\"1e1\"}", "share", "value must have a maximum value of 1" },
        { "{\"name\":\"abc\",\"share\":\"nan\"}", "share",
          "type check ('number') failed - got 'nan'" },
        { "{\"name\":\"abc\",\"node\":\"a b\"}", "node",
          "value 'a b' does not look like a valid node name" },
        { "{\"name\":\"abc\",\"vmid\":99}", "vmid", "value must have a minimum value of 100" },
        { "{\"name\":\"abc\",\"vmid\":1000000000}", "vmid",
          "value must have a maximum value of 999999999" },
        { "{\"name\":\"abc\",\"mode\":\"x\"}", "mode",
          "value 'x' does not have a value in the enumeration 'fast, slow'" },
        { "{\"name\":\"abc\",\"a-list\":\"a,b c/d\"}", "a-list",
          "value 'c/d' does not look like a valid node name" },
        { "{\"name\":\"abc\",\"mode\":\"slow\",\"text\":\"abc\"}", "text",
          "invalid format - 'abc' is odd" },
        { "{\"name\":\"abc\",\"text\":\"ab\"}", "mode", "missing property required by 'text'" },
        { "{\"name\":\"abc\",\"memory\":8}", "memory", "value must have a minimum value of 16" },
        { "{\"name\":\"abc\",\"net0\":\"e1000\"}", "net0", "invalid format - no model" },
        { "{\"name\":\"abc\",\"net32\":\"virtio\"}", "net32",
          "property is not defined in schema and the schema does not allow additional properties "
          "(did you mean 'net'?)" },
        { "{\"name\":\"abc\",\"link8\":\"x\"}", "link8",
          "property is not defined in schema and the schema does not allow additional properties "
          "(did you mean 'link'?)" },
        { "{\"name\":\"abc\",\"link01\":\"x\"}", "link01",
          "property is not defined in schema and the schema does not allow additional properties "
          "(did you mean 'link'?)" },
        { "{\"name\":\"abc\",\"memroy\":512}", "memroy",
          "property is not defined in schema and the schema does not allow additional properties "
          "(did you mean 'memory'?)" },
        { "{\"name\":\"abc\",\"zzzzzzzz\":1}", "zzzzzzzz",
          "property is not defined in schema and the schema does not allow additional properties" },
        { "{\"name\":\"abc\",\"rate\":-1}", "rate", "value must have a minimum value of 0" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].json);
        g_autoptr(GError) error = NULL;
        g_assert_null(bind(cases[i].json, API_FROM_HTTP, &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
        const GPtrArray *blames = q_error_blames(error);
        g_assert_cmpuint(blames->len, ==, 2);
        g_assert_cmpstr(blames->pdata[0], ==, cases[i].name);
        g_assert_cmpstr(blames->pdata[1], ==, cases[i].why);
    }
}

static void
test_all_at_once(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(bind("{\"count\":0,\"mode\":\"x\",\"what\":1}", API_FROM_HTTP, &error));
    g_assert_cmpuint(q_error_blames(error)->len, ==, 8);
}

static void
test_words_of_commands(void)
{
    static const char *const yes[] = { "1", "on", "yes", "true" };

    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
        g_autofree char *json = g_strdup_printf("{\"name\":\"abc\",\"flag\":\"%s\"}", yes[i]);
        g_autoptr(ApiArgs) args = bind(json, API_FROM_COMMAND, NULL);
        g_assert_true(((Args *)args->data)->flag);
    }
    g_autoptr(ApiArgs) off = bind("{\"name\":\"abc\",\"flag\":\"off\"}", API_FROM_COMMAND, NULL);
    g_assert_false(((Args *)off->data)->flag);
}

static void
test_no_params(void)
{
    g_autoptr(JsonObject) raw = json_object_new();
    g_autoptr(ApiArgs) none = api_bind(NULL, raw, API_FROM_HTTP, "node1", NULL);

    g_assert_nonnull(none);
    json_object_set_string_member(raw, "x", "y");
    g_assert_null(api_bind(NULL, raw, API_FROM_HTTP, "node1", NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bind/values", test_values);
    g_test_add_func("/bind/defaults", test_defaults);
    g_test_add_func("/bind/refused", test_refused);
    g_test_add_func("/bind/all-at-once", test_all_at_once);
    g_test_add_func("/bind/words-of-commands", test_words_of_commands);
    g_test_add_func("/bind/no-params", test_no_params);
    return g_test_run();
}
