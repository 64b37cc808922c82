#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <glib.h>
#include "lab/bmc.h"
#include "lab/commands.h"

enum { DONE = 0, FAILED = 1, IS_OFF = 2, ANSWER_WAIT_S = 5 };

static const char metadata[] =
    "<?xml version=\"1.0\" ?>\n"
    "<resource-agent name=\"fence_quorate_lab\" shortdesc=\"Power device of a quorate-lab\">\n"
    "<longdesc>Switches hosts of a lab off and on, from inside a host of the same lab.</longdesc>\n"
    "<parameters>\n"
    "<parameter name=\"action\" required=\"1\"><content type=\"string\" default=\"reboot\"/>"
    "</parameter>\n"
    "<parameter name=\"ip\"><content type=\"string\" default=\"10.77.0.254\"/></parameter>\n"
    "<parameter name=\"ipport\"><content type=\"integer\" default=\"6230\"/></parameter>\n"
    "<parameter name=\"password\" required=\"1\"><content type=\"string\"/></parameter>\n"
    "<parameter name=\"plug\" required=\"1\"><content type=\"string\"/></parameter>\n"
    "</parameters>\n"
    "<actions><action name=\"on\"/><action name=\"off\"/><action name=\"reboot\"/>"
    "<action name=\"status\"/><action name=\"list\"/><action name=\"monitor\"/>"
    "<action name=\"metadata\"/><action name=\"validate-all\"/></actions>\n"
    "</resource-agent>\n";

typedef struct {
    char *action, *ip, *port, *password, *plug;
} Options;

/* key=value lines; keys of other agents are passed over, as agents do. */
static void
read_options(Options *options)
{
    char line[512];

    while (fgets(line, sizeof line, stdin) != NULL) {
        g_auto(GStrv) pair = g_strsplit(g_strstrip(line), "=", 2);
        const struct {
            const char *name;
            char **value;
        } keys[] = { { "action", &options->action }, { "ip", &options->ip },
                     { "ipport", &options->port },   { "password", &options->password },
                     { "plug", &options->plug },     { "port", &options->plug } };

        for (size_t i = 0; pair[0] != NULL && pair[1] != NULL && i < G_N_ELEMENTS(keys); i++) {
            if (strcmp(keys[i].name, pair[0]) == 0) {
                g_free(*keys[i].value);
                *keys[i].value = g_strdup(pair[1]);
            }
        }
    }
}

/* One request to the device. Returns: (transfer full): what stands behind "ok", or NULL. */
static char *
ask(const Options *options, const char *verb)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(strtol(options->port, NULL, 10)) };
    struct timeval wait = { .tv_sec = ANSWER_WAIT_S };
    g_autofree char *line = g_strdup_printf("%s %s %s\n", options->password, verb,
                                            options->plug != NULL ? options->plug : "");
    char answer[512] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait); /* bounds connect() too */
    if (inet_pton(AF_INET, options->ip, &address.sin_addr) != 1
        || connect(fd, (struct sockaddr *)&address, sizeof address) != 0
        || send(fd, line, strlen(line), MSG_NOSIGNAL) < 0
        || recv(fd, answer, sizeof answer - 1, 0) <= 0) {
        fprintf(stderr, "power device %s:%s: %s\n", options->ip, options->port, g_strerror(errno));
        close(fd);
        return NULL;
    }
    close(fd);
    g_strchomp(answer);
    if (strncmp(answer, "ok ", 3) != 0) {
        fprintf(stderr, "power device %s: %s\n", options->ip, answer);
        return NULL;
    }
    return g_strdup(answer + 3);
}

static int
status(const Options *options)
{
    g_autofree char *state = ask(options, "status");

    if (state == NULL) {
        return FAILED;
    }
    printf("Status: %s\n", strcmp(state, "on") == 0 ? "ON" : "OFF");
    return strcmp(state, "on") == 0 ? DONE : IS_OFF;
}

/* Done is only what the device then says is so. */
static int
switch_to(const Options *options, const char *state)
{
    g_autofree char *now = ask(options, state);

    if (now == NULL || strcmp(now, state) != 0) {
        return FAILED;
    }
    printf("Success: Powered %s\n", strcmp(state, "on") == 0 ? "ON" : "OFF");
    return DONE;
}

static int
list(const Options *options)
{
    g_autofree char *text = ask(options, "list");
    g_auto(GStrv) names = g_strsplit(text != NULL ? text : "", " ", -1);

    for (int i = 0; names[i] != NULL; i++) {
        printf("%s,\n", names[i]);
    }
    return text != NULL ? DONE : FAILED;
}

int
lab_fence_agent_main(int argc, char **argv)
{
    Options options = { .action = g_strdup("reboot"), .ip = g_strdup("10.77.0.254") };
    const char *action;

    options.port = g_strdup_printf("%d", LAB_BMC_PORT);
    if (argc > 1) { /* the one long option that everybody tries by hand */
        g_free(options.action);
        options.action = g_strdup(strcmp(argv[1], "-o") == 0 && argc > 2 ? argv[2] : "metadata");
    } else {
        read_options(&options);
    }
    action = options.action;
    if (strcmp(action, "metadata") == 0) {
        fputs(metadata, stdout);
        return DONE;
    }
    if (options.password == NULL
        || (options.plug == NULL && strcmp(action, "list") != 0
            && strcmp(action, "monitor") != 0)) {
        fprintf(stderr, "password= and plug= are needed\n");
        return FAILED;
    }
    if (strcmp(action, "validate-all") == 0) {
        return DONE;
    }
    if (strcmp(action, "status") == 0) {
        return status(&options);
    }
    if (strcmp(action, "on") == 0 || strcmp(action, "off") == 0) {
        return switch_to(&options, action);
    }
    if (strcmp(action, "reboot") == 0) {
        return switch_to(&options, "off") == DONE ? switch_to(&options, "on") : FAILED;
    }
    if (strcmp(action, "list") == 0 || strcmp(action, "monitor") == 0) {
        return list(&options);
    }
    fprintf(stderr, "no such action: %s\n", action);
    return FAILED;
}
