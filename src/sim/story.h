#pragma once
#include "base/json.h"
#include "ha/core/env.h"

/*
 * A story: a cluster, batches of commands, and the events that must come of them
 * (docs/internals/simulator.md has the format).
 */
typedef struct {
    char *name;
    char *profile; /* "classic" unless the story says otherwise */
    JsonObject *object;
} Story;

Story *story_read(const char *path, GError **error);
void story_free(Story *story);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Story, story_free)

/* Parts of it, as the core knows them. */
GPtrArray *story_services(const Story *story,
                          GError **error);  /* (element-type HaConfig): with figures */
GPtrArray *story_nodes(const Story *story); /* (element-type HaNode) */
HaDatacenter *story_datacenter(const Story *story);
GPtrArray *story_batches(const Story *story); /* (element-type GStrv) */

/** story_run: Returns: (transfer full) (element-type utf8): the events as JSON lines */
GPtrArray *story_run(const Story *story, GError **error);

/** story_compare: @events as story_run() gives them against `expect`. Returns: (transfer full):
 *  the first difference in words; NULL if there is none */
char *story_compare(const Story *story, GPtrArray *events);
