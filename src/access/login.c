#include "access/login.h"
#include <crypt.h>
#include <string.h>
#include "access/keys.h"
#include "access/pam.h"
#include "access/throttle.h"
#include "access/users.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/paths.h"

enum { PASSWORD_MAX_BYTES = 8 * 1024, SHADOW_MAX_BYTES = 1024 * 1024 };

/* The daemon's memory of failures: all its threads log users in. */
static GMutex throttle_mutex;
static Throttle *throttle;

static int
wait_s(const char *client, const char *user)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&throttle_mutex);

    if (throttle == NULL) {
        throttle = throttle_new();
    }
    return throttle_wait_s(throttle, client, user, q_clock_mono_ms());
}

static void
remember_failure(const char *client, const char *user)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&throttle_mutex);

    throttle_failed(throttle, client, user, q_clock_mono_ms());
}

/* NAME:CRYPT: of priv/shadow.cfg */
static bool
check_shadow(const char *name, const char *password, GError **error)
{
    g_autofree char *text = q_file_read(Q_PVE_DIR "/priv/shadow.cfg", SHADOW_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, ":", 3);
        if (g_strv_length(fields) < 2 || strcmp(fields[0], name) != 0 || *fields[1] == '\0') {
            continue;
        }
        struct crypt_data data = { 0 };
        const char *made = crypt_r(password, fields[1], &data);
        if (made != NULL && made[0] != '*' && strcmp(made, fields[1]) == 0) {
            return true;
        }
        break;
    }
    return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "wrong password");
}

static bool
check_ticket(const char *user, const char *ticket, GError **error)
{
    g_autofree char *holder = NULL;

    if (!keys_ticket_check(ticket, "PVE", NULL, &holder, error)) {
        return false;
    }
    if (strcmp(holder, user) != 0 && strcmp(holder, ACCESS_ROOT) != 0) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "the ticket is that of '%s'", holder);
    }
    return true;
}

static bool
check_password(const LoginRequest *request, const char *user, GError **error)
{
    const char *at = strrchr(user, '@');
    g_autofree char *name = g_strndup(user, (gsize)(at - user));

    if (strlen(request->password) > PASSWORD_MAX_BYTES || *request->password == '\0') {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "no password, or far too long");
    }
    if (g_str_has_prefix(request->password, "PVE:")) {
        return check_ticket(user, request->password, error);
    }
    if (strcmp(at + 1, "pam") == 0) {
        return pam_check(name, request->password, request->client, error);
    }
    if (strcmp(at + 1, "pve") == 0) {
        return check_shadow(name, request->password, error);
    }
    return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "no such realm");
}

static bool
check_all(const LoginRequest *request, const char *user, GError **error)
{
    g_autoptr(UserCfg) cfg = users_read();

    if (!access_user_is_valid(user)) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "malformed user name");
    }
    if (!access_check_user(cfg, user, q_clock_wall_s(), error)) {
        return false;
    }
    /* Whoever has set up a second factor must not get in without it. */
    const AccessUser *entry = g_hash_table_lookup(cfg->users, user);
    if (*entry->keys != '\0' && !g_str_has_prefix(request->password, "PVE:")) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED,
                           "the user has a second factor, which this version does not take");
    }
    return check_password(request, user, error);
}

bool
login_check(const LoginRequest *request, char **user, GError **error)
{
    bool has_realm = strrchr(request->username, '@') != NULL;
    g_autofree char *full = has_realm && request->realm == NULL
                                ? g_strdup(request->username)
                                : g_strdup_printf("%s@%s", request->username,
                                                  request->realm != NULL ? request->realm : "pam");
    const char *client = request->client != NULL ? request->client : "";
    g_autoptr(GError) why = NULL;

    int seconds = wait_s(request->client, full);
    if (seconds > 0) {
        q_set_error(error, Q_ERROR_BUSY, "too many failed logins, retry in %d s", seconds);
        if (error != NULL) {
            q_error_set_http_status(*error, 429);
        }
        return false;
    }
    if (!check_all(request, full, &why)) {
        g_autofree char *shown = g_strescape(full, NULL);
        remember_failure(request->client, full);
        q_notice("authentication failure; rhost=%s user=%s msg=%s", client, shown, why->message);
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "authentication failure");
    }
    q_info("successful auth for user '%s'", full);
    *user = g_steal_pointer(&full);
    return true;
}
