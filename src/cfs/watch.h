#pragma once
#include "cfs/core/replica.h"
#include "cfs/server.h"

/*
 * Subscriptions of peers to what becomes visible. Changes of one turn of the main loop, or those
 * that come while the peer still has something to read, are told together; when that would be too
 * much, the peer is told to read all anew.
 */
typedef struct CfsWatches CfsWatches;

CfsWatches *cfs_watches_new(void);
void cfs_watches_free(CfsWatches *watches); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsWatches, cfs_watches_free)

/** cfs_watches_add: from the arguments of @request, which its caller answers afterwards. */
void cfs_watches_add(CfsWatches *watches, CfsRequest *request);
void cfs_watches_peer_gone(CfsWatches *watches, CfsPeer *peer);

void cfs_watches_visible(CfsWatches *watches, const ReplicaEffect *effect);
void cfs_watches_status(CfsWatches *watches, const char *node, const char *key);
void cfs_watches_quorum(CfsWatches *watches, bool quorate);
