#pragma once
#include "ha/core/env.h"

/*
 * What the local manager has done to a guest: start, stop, move, each as a task of this node
 * ("quorate task run UPID", the same path as `qm start`), and moving a running guest's processes
 * into a gate. Tasks outlive the manager; those of one before us are found again and counted as
 * busy.
 */
typedef struct HaJobs HaJobs;

typedef struct {
    void (*done)(uint64_t id, int rc, gpointer data); /* a job of ours ended */
    void (*emit)(HaEvent *event, gpointer data);      /* (transfer full) */
} HaJobsEvents;

HaJobs *ha_jobs_new(const HaJobsEvents *events, gpointer data);
void ha_jobs_free(HaJobs *jobs);

/** ha_jobs_adopt: finds tasks of a manager before us that still run. */
void ha_jobs_adopt(HaJobs *jobs);

/** ha_jobs_submit: as HaEnv's submit; @config (nullable): the service as committed. */
HaOutcome ha_jobs_submit(HaJobs *jobs, const HaJob *job, const HaConfig *config, int *rc);

/** ha_jobs_busy: adds the sids under way to the set @busy. */
void ha_jobs_busy(const HaJobs *jobs, GHashTable *busy);
