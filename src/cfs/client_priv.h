#pragma once
#include "cfs/client.h"
#include "cfs/frame.h"

/* For tests: a socket elsewhere than Q_CFS_SOCKET. Else as in client.h. */
CfsClient *cfs_client_connect_path(const char *path, const char *program, GError **error);
CfsClient *cfs_client_new_async_path(const char *path, const char *program, CfsClientFunc connected,
                                     CfsClientFunc lost, gpointer data);

int64_t
cfs_client_left_ms(const CfsClient *client); /* "left_ms" of the last call's refusal, or 0 */

/* "generation" travels as [E,S]; absent or null is {0,0}. */
CfsGeneration cfs_generation_from_json(JsonObject *object, const char *name);
void cfs_generation_to_json(JsonObject *object, const char *name, CfsGeneration generation);
