#pragma once
#include "lab/lab.h"

/**
 * lab_cluster_form:
 * @storages: comma separated, beside "local" and "shared"; or NULL
 *
 * Makes one cluster of the hosts by the commands an administrator would type, with the lab's
 * profile, storage and power devices. Returns when it is quorate and the API answers on every node.
 */
bool lab_cluster_form(const Lab *lab, const char *storages, GError **error);

/** lab_cluster_check_storages: can these be had? */
bool lab_cluster_check_storages(const char *storages, GError **error);

/** lab_cluster_api_answers: GET /api2/json/version on the host's port 8006, asked inside the host
 */
bool lab_cluster_api_answers(const Lab *lab, int node);
