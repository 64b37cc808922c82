#include "sys/conf.h"
#include "sys/log.h"
#include "sys/paths.h"

/* Read anew at each call: settings are asked for at starts only, and tests change them. */
static GKeyFile *
load(void)
{
    GKeyFile *file = g_key_file_new();
    g_autoptr(GError) error = NULL;

    if (!g_key_file_load_from_file(file, Q_CONF_FILE, G_KEY_FILE_NONE, &error)
        && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        q_warn("%s: %s; using defaults", Q_CONF_FILE, error->message);
    }
    return file;
}

char *
q_conf_string(const char *group, const char *key, const char *fallback)
{
    g_autoptr(GKeyFile) file = load();
    char *value = g_key_file_get_string(file, group, key, NULL);

    return value != NULL ? value : g_strdup(fallback);
}

int64_t
q_conf_int(const char *group, const char *key, int64_t fallback)
{
    g_autoptr(GKeyFile) file = load();
    g_autoptr(GError) error = NULL;
    int64_t value = g_key_file_get_int64(file, group, key, &error);

    return error == NULL ? value : fallback;
}

bool
q_conf_bool(const char *group, const char *key, bool fallback)
{
    g_autoptr(GKeyFile) file = load();
    g_autoptr(GError) error = NULL;
    bool value = g_key_file_get_boolean(file, group, key, &error);

    return error == NULL ? value : fallback;
}
