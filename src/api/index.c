#include "api/index.h"
#include <string.h>
#include "api/methods.h"
#include "base/sorted.h"

JsonNode *
api_children(const char *path, const char *key)
{
    g_autofree char *prefix =
        g_strcmp0(path, "/") == 0 ? g_strdup("/") : g_strconcat(path, "/", NULL);
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const ApiMethod *method;

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        if (method->path == NULL || !g_str_has_prefix(method->path, prefix)) {
            continue;
        }
        const char *rest = method->path + strlen(prefix);
        if (*rest != '\0' && *rest != '{') {
            g_hash_table_add(names, g_strndup(rest, strcspn(rest, "/")));
        }
    }
    JsonArray *rows = json_array_new();
    g_autoptr(GPtrArray) sorted = q_sorted_keys(names);
    for (guint i = 0; i < sorted->len; i++) {
        JsonObject *row = json_object_new();
        json_object_set_string_member(row, key, sorted->pdata[i]);
        json_array_add_object_element(rows, row);
    }
    return q_json_node_array(rows);
}
