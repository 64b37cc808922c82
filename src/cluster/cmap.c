#include "cluster/cmap.h"
#include <corosync/cmap.h>
#include <stdlib.h>

static bool
open_cmap(cmap_handle_t *handle, GError **error)
{
    cs_error_t status = cmap_initialize(handle);

    return status == CS_OK
           || q_set_error(error, Q_ERROR_UNREACHABLE, "Corosync does not answer (%s)",
                          cs_strerror(status));
}

/* Any value as text; what is no text or number is left out. */
static char *
value_text(cmap_handle_t handle, const char *key, cmap_value_types_t type, size_t length)
{
    union {
        int64_t i64;
        uint64_t u64;
        float f;
        double d;
        uint8_t bytes[8];
    } value = { 0 };
    size_t size = sizeof value;
    char *text = NULL;

    if (type == CMAP_VALUETYPE_STRING) {
        if (cmap_get_string(handle, key, &text) != CS_OK) {
            return NULL;
        }
        char *copy = g_strdup(text);
        free(text); /* the library's */
        return copy;
    }
    if (length > size || cmap_get(handle, key, &value, &size, &type) != CS_OK) {
        return NULL;
    }
    switch (type) {
    case CMAP_VALUETYPE_INT8:
        return g_strdup_printf("%d", *(int8_t *)value.bytes);
    case CMAP_VALUETYPE_INT16:
        return g_strdup_printf("%d", *(int16_t *)value.bytes);
    case CMAP_VALUETYPE_INT32:
        return g_strdup_printf("%d", *(int32_t *)value.bytes);
    case CMAP_VALUETYPE_UINT8:
        return g_strdup_printf("%u", value.bytes[0]);
    case CMAP_VALUETYPE_UINT16:
        return g_strdup_printf("%u", *(uint16_t *)value.bytes);
    case CMAP_VALUETYPE_UINT32:
        return g_strdup_printf("%u", *(uint32_t *)value.bytes);
    case CMAP_VALUETYPE_INT64:
        return g_strdup_printf("%" G_GINT64_FORMAT, value.i64);
    case CMAP_VALUETYPE_UINT64:
        return g_strdup_printf("%" G_GUINT64_FORMAT, value.u64);
    case CMAP_VALUETYPE_FLOAT:
        return g_strdup_printf("%g", value.f);
    case CMAP_VALUETYPE_DOUBLE:
        return g_strdup_printf("%g", value.d);
    default:
        return NULL;
    }
}

char *
cluster_cmap_string(const char *key, GError **error)
{
    cmap_handle_t handle;
    cmap_value_types_t type;
    size_t length = 0;
    char *text = NULL;

    if (!open_cmap(&handle, error)) {
        return NULL;
    }
    if (cmap_get(handle, key, NULL, &length, &type) == CS_OK) {
        text = value_text(handle, key, type, length);
    }
    cmap_finalize(handle);
    if (text == NULL) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "Corosync has no value '%s'", key);
    }
    return text;
}

char **
cluster_cmap_keys(const char *prefix, GError **error)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new();
    char name[CMAP_KEYNAME_MAXLEN + 1];
    cmap_iter_handle_t iter;
    cmap_handle_t handle;

    if (!open_cmap(&handle, error)) {
        return NULL;
    }
    if (cmap_iter_init(handle, prefix, &iter) == CS_OK) {
        while (cmap_iter_next(handle, iter, name, NULL, NULL) == CS_OK) {
            g_strv_builder_add(keys, name);
        }
        cmap_iter_finalize(handle, iter);
    }
    cmap_finalize(handle);
    return g_strv_builder_end(keys);
}
