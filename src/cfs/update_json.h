#pragma once
#include "cfs/host.h"
#include "cfs/server.h"

/**
 * cfs_update_from_request: the update that "if" and "do" of a request describe (formats:
 * docs/internals/cfs-socket.md).
 * @host: what guards corosync.conf asks it
 *
 * Returns: (transfer full): %NULL with Q_ERROR_INVALID, naming the condition or change
 */
Update *cfs_update_from_request(CfsRequest *request, const CfsHost *host, GError **error);

/** cfs_update_part: (transfer full): the text of condition or change @which, for messages */
char *cfs_update_part(JsonObject *arguments, const char *member, unsigned which);

Generation cfs_generation_member(JsonObject *object, const char *name); /* {0,0}: absent, null */
void cfs_set_generation(JsonObject *object, const char *name, Generation generation);
