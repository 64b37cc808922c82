#include <string.h>
#include "api/call.h"
#include "api/format.h"
#include "api/methods.h"
#include "api/permission.h"

/* Every row of the table, whoever wrote it. */

static char *
row_id(const ApiMethod *method)
{
    return method->path != NULL || method->name != NULL ? api_method_id(method)
                                                        : g_strdup(method->doc);
}

static void
test_complete(void)
{
    const ApiMethod *method;

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        g_autofree char *id = row_id(method);
        g_autofree char *why = NULL;
        g_test_message("%s", id);
        g_assert_true(method->path != NULL || method->name != NULL);
        g_assert_nonnull(method->doc);
        g_assert_cmpuint(strlen(method->doc), >, 3);
        g_assert_nonnull(method->access);
        if (!api_access_is_valid(method->access, &why)) {
            g_error("%s: access '%s': %s", id, method->access, why);
        }
        g_assert_nonnull(method->run);
        g_assert_true(method->returns != API_UPID || method->task != NULL);
        for (const ApiParam *param = method->params; param != NULL && param->field != NULL;
             param++) {
            g_test_message("  %s", api_param_name(param));
            g_assert_true(param->kind == API_SPLICE || param->doc != NULL);
            g_assert_true(param->kind != API_ENUM || param->values != NULL);
            g_assert_true(param->kind != API_FAMILY || param->has_max);
            g_assert_true(param->kind != API_SPLICE || param->splice != NULL);
            if (param->format != NULL && !api_format_is_known(param->format)) {
                g_error("%s: %s: unknown format '%s'", id, api_param_name(param), param->format);
            }
        }
    }
}

/* A default must pass the checks that a caller's value must pass. */
static void
test_defaults(void)
{
    const ApiMethod *method;

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        for (const ApiParam *param = method->params; param != NULL && param->field != NULL;
             param++) {
            g_autofree char *text = g_strdup(param->def);
            g_autofree char *why = NULL;
            g_autofree char *id = row_id(method);
            if (text != NULL
                && !api_check_value(param, api_param_name(param), API_FROM_HTTP, &text, &why)) {
                g_error("%s: default of %s: %s", id, api_param_name(param), why);
            }
        }
    }
}

static void
test_unique(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const ApiMethod *method;

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        char *id = row_id(method);
        g_test_message("%s", id);
        g_assert_true(g_hash_table_add(seen, id));
    }
}

/* Parameters of the path and of .on_node and .task_id are parameters. */
static void
test_references(void)
{
    const ApiMethod *method;

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        g_autofree char *id = row_id(method);
        ApiParam param;
        g_test_message("%s", id);
        g_auto(GStrv) parts = g_strsplit(method->path != NULL ? method->path : "", "/", -1);
        for (char **part = parts; *part != NULL; part++) {
            if (**part == '{') {
                g_autofree char *name = g_strndup(*part + 1, strlen(*part) - 2);
                g_assert_true(api_param_for(method->params, name, &param));
            }
        }
        g_assert_true(method->on_node == NULL
                      || api_param_for(method->params, method->on_node, &param));
        g_assert_true(method->task_id == NULL
                      || api_param_for(method->params, method->task_id, &param));
    }
}

static void
test_find(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) raw = json_object_new();
    const ApiMethod *found =
        api_find(API_GET, "//nodes/n1//tasks/UPID%3Ax/log/", true, raw, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(found->path, ==, "/nodes/{node}/tasks/{upid}/log");
    g_assert_cmpstr(q_json_string(raw, "upid", ""), ==, "UPID:x");
    g_assert_null(api_find(API_PUT, "/version", true, raw, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_UNSUPPORTED);
    g_assert_cmpstr(error->message, ==, "Method 'PUT /version' not implemented");
    g_clear_error(&error);
    g_autoptr(JsonObject) other = json_object_new();
    json_object_set_string_member(other, "node", "n2");
    g_assert_null(api_find(API_GET, "/nodes/n1/tasks", true, other, &error));
    g_assert_cmpstr(q_error_blames(error)->pdata[0], ==, "node");
}

/* ------------------------------------------------------------------ the published API */

static JsonObject *
endpoint(JsonArray *endpoints, const ApiMethod *method)
{
    for (guint i = 0; i < json_array_get_length(endpoints); i++) {
        JsonObject *one = json_array_get_object_element(endpoints, i);
        if (strcmp(q_json_string(one, "path", ""), method->path) == 0
            && strcmp(q_json_string(one, "method", ""), api_verb_name(method->verb)) == 0) {
            return one;
        }
    }
    return NULL;
}

/* What differs from the published data, and why. */
static const struct {
    const char *method; /* NULL: every one */
    const char *param;  /* NULL: the method itself is ours */
    const char *why;
} differences[] = {
    { "GET /", NULL, "areas of the API" },
    { "POST /cluster/config/token-join", NULL, "join by a one-time token" },
    { "POST /cluster/config/join-undo", NULL, "the other half of an aborted join" },
    { "POST /cluster/config/join-conf", NULL,
      "corosync.conf as it is by now, for a join under way" },
    { "POST /cluster/config/nodes/{node}", "join-secret", "names the join, for its undoing" },
    { "POST /cluster/config/nodes/{node}", "version", "version of the joining node" },
    { "POST /cluster/config/nodes/{node}", "now-ms",
      "its clock, compared before anything changes" },
    { "POST /cluster/config/nodes/{node}", "probe-port", "where it answers the UDP probe" },
    { "DELETE /cluster/config/nodes/{node}", "force", "a node that still answers" },
    { "POST /cluster/ha/rules", "rule", "always needed" },
    { NULL, "comment", "sections keep a comment" },
    { NULL, "saferemove-stepsize", "one of six numbers" },
    { "PUT /storage/{storage}", "base", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "datastore", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "export", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "iscsiprovider", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "path", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "portal", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "share", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "target", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "thinpool", "fixed: refused with that reason" },
    { "PUT /storage/{storage}", "vgname", "fixed: refused with that reason" },
};

static bool
is_ours(const char *id, const char *param)
{
    for (size_t i = 0; i < G_N_ELEMENTS(differences); i++) {
        if ((differences[i].method == NULL || strcmp(differences[i].method, id) == 0)
            && g_strcmp0(differences[i].param, param) == 0) {
            return true;
        }
    }
    return false;
}

/* A family of one, "efidisk[n]" of 0, is published by its only name. */
static char *
published_name(const ApiParam *param)
{
    g_autofree char *bare = g_strndup(api_param_name(param), strcspn(api_param_name(param), "["));

    if (param->kind != API_FAMILY) {
        return g_strdup(api_param_name(param));
    }
    return param->max > 0 ? g_strdup_printf("%s[n]", bare) : g_strdup_printf("%s0", bare);
}

static void
compare_param(const char *id, const char *path, const ApiParam *param, JsonObject *parameters,
              GString *out)
{
    g_autofree char *name = published_name(param);
    g_autofree char *in_path = g_strdup_printf("{%s}", name);
    JsonObject *published = parameters != NULL ? q_json_object(parameters, name) : NULL;

    if (is_ours(id, name)) {
        return;
    }
    if (published == NULL) {
        g_string_append_printf(out, "%s: '%s' is not published\n", id, name);
        return;
    }
    const char *type = q_json_string(published, "type", "string");
    if (strcmp(type, api_kind_name(param->kind)) != 0) {
        g_string_append_printf(out, "%s: '%s' is %s, not %s\n", id, name, type,
                               api_kind_name(param->kind));
    }
    bool optional = param->optional || param->def != NULL || param->kind == API_FAMILY;
    if (optional != q_json_bool(published, "optional", false) && strstr(path, in_path) == NULL) {
        g_string_append_printf(out, "%s: '%s' is published as %s\n", id, name,
                               optional ? "needed" : "optional");
    }
}

static void
compare_method(const ApiMethod *method, JsonArray *endpoints, GString *out)
{
    g_autofree char *id = api_method_id(method);
    JsonObject *published = endpoint(endpoints, method);

    if (published == NULL) {
        if (!is_ours(id, NULL)) {
            g_string_append_printf(out, "%s is not published\n", id);
        }
        return;
    }
    JsonObject *parameters = q_json_object(published, "parameters");
    for (const ApiParam *param = method->params; param != NULL && param->field != NULL; param++) {
        for (size_t n = 0; param->kind == API_SPLICE; n++) {
            ApiParam row = { 0 };
            if (!param->splice->describe(n, &row)) {
                break;
            }
            compare_param(id, method->path, &row, parameters, out);
        }
        if (param->kind != API_SPLICE) {
            compare_param(id, method->path, param, parameters, out);
        }
    }
    bool forwarded = json_object_has_member(published, "proxyto");
    if (forwarded != (method->on_node != NULL)) {
        g_string_append_printf(out, "%s: forwarding differs\n", id);
    }
}

static void
test_published(void)
{
    const char *given = g_getenv("QUORATE_API_DATA"), *source = g_getenv("QUORATE_SOURCE");
    g_autofree char *path = given != NULL ? g_strdup(given)
                                          : g_build_filename(source != NULL ? source : ".", "..",
                                                             "shared", "api", "scope.json", NULL);
    g_autofree char *text = NULL;
    const ApiMethod *method;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        g_test_skip("the published API data is not here; QUORATE_API_DATA names it");
        return;
    }
    g_autoptr(JsonObject) data = q_json_parse_object(text, -1, NULL);
    g_autoptr(GString) out = g_string_new(NULL);
    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        if (method->path != NULL) {
            compare_method(method, q_json_array(data, "endpoints"), out);
        }
    }
    g_assert_cmpstr(out->str, ==, "");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rows/complete", test_complete);
    g_test_add_func("/rows/defaults", test_defaults);
    g_test_add_func("/rows/unique", test_unique);
    g_test_add_func("/rows/references", test_references);
    g_test_add_func("/rows/find", test_find);
    g_test_add_func("/rows/published", test_published);
    return g_test_run();
}
