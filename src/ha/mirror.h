#pragma once
#include "cfs/client.h"
#include "ha/core/env.h"

/*
 * What the managers look at in the cluster filesystem, kept current by watching: files of ha/, each
 * node's lrm_status and guest configurations, datacenter.cfg, corosync.conf, run records, leases,
 * members, quorum. All of it committed (safety.md S13). Never waits.
 */
typedef struct HaMirror HaMirror;

typedef struct {
    char *text;
    uint64_t version;
    gpointer derived; /* what a reader made of the text; NULL: nothing yet */
    GDestroyNotify derived_free;
} HaFile;

/** ha_file_derive: keeps @derived (transfer full) with this version of the file. */
void ha_file_derive(const HaFile *file, gpointer derived, GDestroyNotify free_func);

/** HaMirrorNews: everything that was asked for is here, and something differs from last time. */
typedef void (*HaMirrorNews)(gpointer data);

/** ha_mirror_new: @client is borrowed and must outlive the mirror; call ha_mirror_connected() and
 *  ha_mirror_lost() from its callbacks. */
HaMirror *ha_mirror_new(CfsClient *client, HaMirrorNews news, gpointer data);
void ha_mirror_free(HaMirror *mirror);
void ha_mirror_connected(HaMirror *mirror);
void ha_mirror_lost(HaMirror *mirror);

/** ha_mirror_settled: nothing asked for is under way, and everything was read at least once since
 *  the connection was made. */
bool ha_mirror_settled(const HaMirror *mirror);

bool ha_mirror_alive(const HaMirror *mirror); /* connected, and was settled since */

/** ha_mirror_sequence: of the newest committed update that was told. */
uint64_t ha_mirror_sequence(const HaMirror *mirror);

/* All borrowed, valid until the main loop runs again; NULL if there is none. */
const HaFile *ha_mirror_file(const HaMirror *mirror, const char *path);
GPtrArray *ha_mirror_paths(const HaMirror *mirror); /* (transfer container) sorted */
JsonArray *ha_mirror_records(const HaMirror *mirror);
GPtrArray *ha_mirror_lease_names(const HaMirror *mirror); /* (transfer container) sorted */
JsonObject *ha_mirror_lease(const HaMirror *mirror, const char *name);
JsonObject *ha_mirror_members(const HaMirror *mirror); /* as .members */
bool ha_mirror_quorate(const HaMirror *mirror);
uint64_t ha_mirror_epoch(const HaMirror *mirror); /* number of the open epoch, or of the last one */

/** ha_mirror_look: asks for members, quorum and leases now, without waiting for the next look. */
void ha_mirror_look(HaMirror *mirror);

/* [E,S] of the control socket; absent: {0,0}. */
HaGeneration ha_generation_from_json(JsonObject *object, const char *name);
void ha_generation_to_json(JsonObject *object, const char *name, HaGeneration generation);
