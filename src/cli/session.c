#include "cli/session.h"
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "access/core/user_cfg.h"
#include "http/forward.h"
#include "sys/process.h"

enum { SECRET_MAX_BYTES = 4096 };

static char *
ask_secret(const char *prompt, GError **error)
{
    struct termios before, silent;
    char line[SECRET_MAX_BYTES];

    if (!isatty(STDIN_FILENO)) {
        /* Scripts pipe it in: one line. */
        if (fgets(line, sizeof line, stdin) == NULL) {
            q_set_error(error, Q_ERROR_INVALID, "%s: nothing on standard input", prompt);
            return NULL;
        }
        line[strcspn(line, "\n")] = '\0';
        return g_strdup(line);
    }
    fprintf(stderr, "%s: ", prompt);
    fflush(stderr);
    tcgetattr(STDIN_FILENO, &before);
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    bool got = fgets(line, sizeof line, stdin) != NULL;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    if (!got) {
        q_set_error(error, Q_ERROR_INVALID, "%s: no answer", prompt);
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    char *secret = g_strdup(line);
    explicit_bzero(line, sizeof line);
    return secret;
}

static const ApiHost host = { .forward = http_forward, .ask = ask_secret };

const ApiHost *
cli_host(void)
{
    return &host;
}

const ApiSession *
cli_session(void)
{
    static ApiSession session; /* the process is one command of one user */

    if (session.host == NULL) {
        session = (ApiSession){ .host = &host,
                                .user = ACCESS_ROOT,
                                .node = q_node_name(),
                                .origin = API_FROM_COMMAND,
                                .is_cli = true };
    }
    return &session;
}
