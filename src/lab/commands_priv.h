#pragma once
#include "lab/lab.h"

/** lab_init_ask: one request to the host's supervisor. Returns: (transfer full): what stands behind
 *  "ok", or NULL */
char *lab_init_ask(const Lab *lab, int node, const char *request, GError **error);

/** lab_init_daemon: @verb as `quorate-lab daemon` takes it; @name without "quorate-". */
bool lab_init_daemon(const Lab *lab, int node, const char *verb, const char *name, GError **error);
