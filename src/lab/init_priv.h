#pragma once
#include "lab/daemon.h"

/* The supervisor's state, shared by the boot (init.c) and the requests (init_requests.c). */
typedef struct {
    GMainLoop *loop;
    GPtrArray *daemons; /* LabDaemon, in the order of their start */
    guint next;         /* the boot's next one */
    guint ready_timer;  /* the boot waits for the one before */
    bool booted;
    GString *late;      /* " NAME" of each that did not report ready in time */
    GPtrArray *waiting; /* requests without an answer yet */
    bool ending, reboot;
    bool guests_done; /* lrmd has answered, or there is none */
    int exits;        /* socket to the machine's side, -1 if not connected */
    int64_t looked_ms;
} LabInit;

LabDaemon *lab_init_find(LabInit *init, const char *name);

gboolean lab_init_on_request(int fd, GIOCondition condition, gpointer init);
void lab_init_answer_boot(LabInit *init); /* every daemon was started */
void lab_init_answer_waiting(LabInit *init, LabDaemon *daemon, const char *why);
void lab_init_shutdown_step(LabInit *init); /* does nothing unless the host ends */
