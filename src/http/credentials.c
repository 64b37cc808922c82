#include "http/credentials.h"
#include <string.h>

static const char *const cookie_name = "PVEAuthCookie=";

void
http_credentials_clear(HttpCredentials *credentials)
{
    g_clear_pointer(&credentials->text, g_free);
    g_clear_pointer(&credentials->secret, g_free);
}

/* Clients send it raw and escaped; a "+" stays one. */
static char *
unescaped(const char *text, size_t length)
{
    g_autofree char *raw = g_strndup(text, length);
    char *plain = g_uri_unescape_string(g_strstrip(raw), NULL);

    return plain != NULL ? plain : g_strdup("");
}

static char *
ticket_of_cookie(const char *cookie)
{
    for (const char *at = cookie; at != NULL && *at != '\0';) {
        at += strspn(at, "; ");
        size_t length = strcspn(at, ";");
        if (strncmp(at, cookie_name, strlen(cookie_name)) == 0) {
            return unescaped(at + strlen(cookie_name), length - strlen(cookie_name));
        }
        at += length;
    }
    return NULL;
}

/* "USER@REALM!ID=SECRET" */
static HttpCredentials
token(const char *text)
{
    const char *equals = strrchr(text, '=');

    if (equals == NULL) {
        return (HttpCredentials){ .kind = HTTP_TICKET, .text = g_strdup("") };
    }
    return (HttpCredentials){ .kind = HTTP_TOKEN,
                              .text = g_strndup(text, (gsize)(equals - text)),
                              .secret = g_strdup(equals + 1) };
}

HttpCredentials
http_credentials_read(const char *cookie, const char *authorization)
{
    static const char *const token_name = "PVEAPIToken";
    size_t token_length = strlen(token_name);

    if (authorization != NULL && g_str_has_prefix(authorization, "PVENODE=")) {
        return (HttpCredentials){ .kind = HTTP_MEMBER,
                                  .text = g_strdup(authorization + strlen("PVENODE=")) };
    }
    if (authorization != NULL && g_str_has_prefix(authorization, token_name)
        && (authorization[token_length] == '=' || authorization[token_length] == ' ')) {
        return token(authorization + token_length + 1);
    }
    if (authorization != NULL && g_str_has_prefix(authorization, cookie_name)) {
        const char *value = authorization + strlen(cookie_name);
        return (HttpCredentials){ .kind = HTTP_TICKET,
                                  .text = unescaped(value, strcspn(value, ";")) };
    }
    char *ticket = ticket_of_cookie(cookie);
    return (HttpCredentials){ .kind = ticket != NULL ? HTTP_TICKET : HTTP_NOBODY, .text = ticket };
}
