#include "base/error.h"
#include <errno.h>
#include <string.h>

/* clang-format off */
static const struct {
    const char *name;
    int http_status;
    int exit_code;
} codes[Q_ERROR_CODES] = {
    [Q_ERROR_INVALID]         = { "INVALID",         400, 255 },
    [Q_ERROR_UNAUTHENTICATED] = { "UNAUTHENTICATED", 401, 1 },
    [Q_ERROR_DENIED]          = { "DENIED",          403, 1 },
    [Q_ERROR_NOT_FOUND]       = { "NOT_FOUND",       404, 1 },
    [Q_ERROR_EXISTS]          = { "EXISTS",          500, 1 },
    [Q_ERROR_BUSY]            = { "BUSY",            500, 1 },
    [Q_ERROR_CONFLICT]        = { "CONFLICT",        500, 1 },
    [Q_ERROR_FULL]            = { "FULL",            500, 1 },
    [Q_ERROR_TIMEOUT]         = { "TIMEOUT",         500, 1 },
    [Q_ERROR_IO]              = { "IO",              500, 1 },
    [Q_ERROR_INTERNAL]        = { "INTERNAL",        500, 1 },
    [Q_ERROR_UNKNOWN]         = { "UNKNOWN",         500, 1 },
    [Q_ERROR_NO_QUORUM]       = { "NO_QUORUM",       500, 1 },
    [Q_ERROR_UNREACHABLE]     = { "UNREACHABLE",     595, 1 },
    [Q_ERROR_UNSUPPORTED]     = { "UNSUPPORTED",     501, 1 },
};
/* clang-format on */

/* What an error may carry beside code and message. */
typedef struct {
    int http_status;   /* 0: that of the code */
    GPtrArray *blames; /* name, why, …; NULL: none */
} QErrorPrivate;

static void
q_error_private_init(QErrorPrivate *priv)
{
    priv->http_status = 0;
    priv->blames = NULL;
}

static void
q_error_private_copy(const QErrorPrivate *from, QErrorPrivate *to)
{
    to->http_status = from->http_status;
    to->blames = NULL;
    if (from->blames != NULL) {
        to->blames = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < from->blames->len; i++) {
            g_ptr_array_add(to->blames, g_strdup(from->blames->pdata[i]));
        }
    }
}

static void
q_error_private_clear(QErrorPrivate *priv)
{
    g_clear_pointer(&priv->blames, g_ptr_array_unref);
}

G_DEFINE_EXTENDED_ERROR(QError, q_error)

bool
q_set_error(GError **error, QError code, const char *format, ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        *error = g_error_new_valist(Q_ERROR, code, format, args);
        va_end(args);
    }
    return false;
}

bool
q_prefix_error(GError **error, const char *format, ...)
{
    if (error != NULL && *error != NULL) {
        va_list args;
        va_start(args, format);
        g_autofree char *prefix = g_strdup_vprintf(format, args);
        va_end(args);
        g_prefix_error(error, "%s", prefix);
    }
    return false;
}

static QError
code_from_errno(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM:
        return Q_ERROR_DENIED;
    case ENOENT:
        return Q_ERROR_NOT_FOUND;
    case EEXIST:
        return Q_ERROR_EXISTS;
    case EBUSY:
    case EAGAIN:
        return Q_ERROR_BUSY;
    case ENOSPC:
    case EDQUOT:
        return Q_ERROR_FULL;
    case EINVAL:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
        return Q_ERROR_INVALID;
    case ETIMEDOUT:
        return Q_ERROR_TIMEOUT;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return Q_ERROR_UNREACHABLE;
    default:
        return Q_ERROR_IO;
    }
}

bool
q_set_error_errno(GError **error, int errnum, const char *format, ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        g_autofree char *text = g_strdup_vprintf(format, args);
        va_end(args);
        q_set_error(error, code_from_errno(errnum), "%s: %s", text, g_strerror(errnum));
    }
    return false;
}

bool
q_error_blame(GError **error, const char *name, const char *format, ...)
{
    if (error == NULL) {
        return false;
    }
    if (*error == NULL) {
        q_set_error(error, Q_ERROR_INVALID, "Parameter verification failed.");
    }
    QErrorPrivate *priv = q_error_get_private(*error);
    g_return_val_if_fail(priv != NULL, false);

    if (priv->blames == NULL) {
        priv->blames = g_ptr_array_new_with_free_func(g_free);
    }
    va_list args;
    va_start(args, format);
    g_ptr_array_add(priv->blames, g_strdup(name));
    g_ptr_array_add(priv->blames, g_strdup_vprintf(format, args));
    va_end(args);
    return false;
}

const GPtrArray *
q_error_blames(const GError *error)
{
    return error->domain == Q_ERROR ? q_error_get_private(error)->blames : NULL;
}

void
q_error_set_http_status(GError *error, int status)
{
    if (error->domain == Q_ERROR) {
        q_error_get_private(error)->http_status = status;
    }
}

int
q_error_http_status(const GError *error)
{
    if (error->domain == Q_ERROR && q_error_get_private(error)->http_status != 0) {
        return q_error_get_private(error)->http_status;
    }
    return error->domain == Q_ERROR ? codes[error->code].http_status : 500;
}

int
q_error_exit_code(const GError *error)
{
    return error->domain == Q_ERROR ? codes[error->code].exit_code : 1;
}

const char *
q_error_code_name(QError code)
{
    return codes[code].name;
}

QError
q_error_code_parse(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (strcmp(codes[i].name, name) == 0) {
            return i;
        }
    }
    return Q_ERROR_INTERNAL;
}
