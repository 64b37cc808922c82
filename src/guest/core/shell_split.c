#include "guest/core/shell_split.h"
#include <string.h>

/* Reads one quoted part; returns what stands behind its end, or NULL if it does not end. */
static const char *
read_quoted(const char *c, char quote, GString *word)
{
    for (; *c != '\0' && *c != quote; c++) {
        /* Within double quotes a backslash escapes only these; within single quotes nothing. */
        if (quote == '"' && *c == '\\' && c[1] != '\0' && strchr("\"\\$`", c[1]) != NULL) {
            c++;
        }
        g_string_append_c(word, *c);
    }
    return *c == quote ? c + 1 : NULL;
}

GPtrArray *
guest_shell_split(const char *text, GError **error)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

    for (const char *c = text; *c != '\0';) {
        if (g_ascii_isspace(*c)) {
            c++;
            continue;
        }
        g_autoptr(GString) word = g_string_new(NULL);
        while (*c != '\0' && !g_ascii_isspace(*c)) {
            if (*c == '\'' || *c == '"') {
                char quote = *c;
                c = read_quoted(c + 1, quote, word);
                if (c == NULL) {
                    q_set_error(error, Q_ERROR_INVALID, "the quote %c does not end in: %s", quote,
                                text);
                    return NULL;
                }
            } else {
                c += *c == '\\' && c[1] != '\0';
                g_string_append_c(word, *c++);
            }
        }
        g_ptr_array_add(words, g_strdup(word->str));
    }
    return g_steal_pointer(&words);
}
