#include "cli/command.h"
#include <string.h>

enum { WORDS_MAX = 2 };

/* Which of the commands whose first @depth words were chosen has @word next: exactly, else by
 * prefix. Returns the full word; NULL: none; several in @ambiguous. */
static char *
next_word(const CliProgram *program, const char *chosen, const char *word, GString *ambiguous)
{
    size_t skip = strlen(chosen);
    char *found = NULL;

    for (const CliCommand *command = program->commands; command->name != NULL; command++) {
        if (strncmp(command->name, chosen, skip) != 0) {
            continue;
        }
        const char *rest = command->name + skip;
        g_autofree char *candidate = g_strndup(rest, strcspn(rest, " "));
        if (strcmp(candidate, word) == 0) {
            g_free(found);
            g_string_truncate(ambiguous, 0);
            return g_steal_pointer(&candidate);
        }
        if (g_str_has_prefix(candidate, word) && g_strcmp0(found, candidate) != 0
            && (command->flags & CLI_HIDDEN) == 0) {
            g_string_append_printf(ambiguous, "%s%s", ambiguous->len > 0 ? ", " : "", candidate);
            if (found == NULL) {
                found = g_steal_pointer(&candidate);
            }
        }
    }
    if (found != NULL && strcmp(found, ambiguous->str) == 0) {
        g_string_truncate(ambiguous, 0);
    }
    return found;
}

static const CliCommand *
exactly(const CliProgram *program, const char *name)
{
    for (const CliCommand *command = program->commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

const CliCommand *
cli_command_find(const CliProgram *program, char **argv, int *used, GError **error)
{
    g_autoptr(GString) chosen = g_string_new(NULL);

    if (argv[0] == NULL) {
        q_set_error(error, Q_ERROR_INVALID, "no command specified");
        return NULL;
    }
    for (int depth = 0; depth < WORDS_MAX && argv[depth] != NULL; depth++) {
        g_autoptr(GString) ambiguous = g_string_new(NULL);
        g_autofree char *word = next_word(program, chosen->str, argv[depth], ambiguous);
        if (ambiguous->len > 0) {
            q_set_error(error, Q_ERROR_INVALID, "command '%s' is ambiguous: %s", argv[depth],
                        ambiguous->str);
            return NULL;
        }
        if (word == NULL) {
            q_set_error(error, Q_ERROR_INVALID, "unknown command '%s%s'", chosen->str, argv[depth]);
            return NULL;
        }
        g_string_append(chosen, word);
        const CliCommand *command = exactly(program, chosen->str);
        if (command != NULL) {
            *used = depth + 1;
            return command;
        }
        g_string_append_c(chosen, ' ');
    }
    q_set_error(error, Q_ERROR_INVALID, "no command specified behind '%s'",
                g_strchomp(chosen->str));
    return NULL;
}
