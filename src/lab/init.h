#pragma once

/*
 * pid 1 of a host: starts the daemons in order and again when they end, reaps, listens on
 * /run/lab/init. Requests are text, one a message:
 *
 *   start|stop|restart|state NAME      "ok running", "ok stopped", "error WHY" when done
 *   kill|pause|continue NAME           SIGKILL, SIGSTOP, SIGCONT: "ok running"
 *   boot                               when every daemon was started once: "ok", and who did not
 *                                      report in time: "ok late quorate-cfsd"
 *   shutdown|reboot                    "ok", then the host ends in order
 *
 * Exit status: LAB_INIT_OFF or LAB_INIT_REBOOT, which the machine's side acts on.
 */
enum { LAB_INIT_OFF = 0, LAB_INIT_REBOOT = 10 };

int lab_init_main(void);
