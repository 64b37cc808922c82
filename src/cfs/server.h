#pragma once
#include <sys/types.h>
#include "base/json.h"
#include "cfs/frame.h"

/*
 * The control socket's machinery: peers, their rights, requests and answers, notifications. What
 * the requests mean stands in ops.c. Nothing here waits: a peer that does not read gets its answers
 * later, one that does not read for too long is cut off.
 */
typedef struct CfsServer CfsServer;
typedef struct CfsPeer CfsPeer;
typedef struct CfsRequest CfsRequest;

typedef enum { CFS_OP_ROOT, CFS_OP_ALL } CfsOpRight; /* ALL: group www-data too */

typedef struct {
    const char *name;
    CfsOpRight right;
    void (*run)(CfsRequest *request, gpointer host); /* ends, then or later, in one answer */
} CfsOp;

typedef struct {
    const CfsOp *ops;                    /* up to one without name */
    JsonObject *(*hello)(gpointer host); /* (transfer full): what a peer is greeted with */
    void (*peer_gone)(CfsPeer *peer, gpointer host);
    gpointer host;
} CfsServerSetup;

/**
 * cfs_server_new:
 * @path: made anew with mode 0660, group @gid; removed at the end
 * @gid: of www-data; (gid_t)-1: leave the group alone
 */
CfsServer *cfs_server_new(const char *path, gid_t gid, const CfsServerSetup *setup, GError **error);
void cfs_server_free(CfsServer *server); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsServer, cfs_server_free)

/* ------------------------------------------------------------------ requests */

JsonObject *cfs_request_arguments(const CfsRequest *request);
CfsPeer *cfs_request_peer(const CfsRequest *request);
/** cfs_request_root: whether the peer is root; else it sees nothing private. */
bool cfs_request_root(const CfsRequest *request);
GBytes *cfs_request_bytes(CfsRequest *request, JsonObject *holder, GError **error);
int64_t cfs_request_id(const CfsRequest *request);

/* Each of them ends the request, also if its peer is gone. */
void cfs_request_ok(CfsRequest *request, JsonObject *ok);    /* (transfer full) */
void cfs_request_refuse(CfsRequest *request, GError *error); /* (transfer full) */
void cfs_request_refuse_for(CfsRequest *request, GError *error, int64_t left_ms); /* BUSY until */

/* ------------------------------------------------------------------ peers */

const char *cfs_peer_program(const CfsPeer *peer);
pid_t cfs_peer_pid(const CfsPeer *peer);
/** cfs_peer_slow: whether something waits already: keep back what can be put together later. */
bool cfs_peer_slow(const CfsPeer *peer);
void cfs_peer_send(CfsPeer *peer, JsonObject *message); /* (transfer full): a notification */
/** cfs_server_peers: (transfer container) (element-type CfsPeer): those that have greeted. */
GPtrArray *cfs_server_peers(CfsServer *server);
