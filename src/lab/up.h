#pragma once
#include "lab/lab.h"

typedef struct {
    bool cluster;         /* form one; else hosts only */
    bool keep;            /* leave the lab standing if it cannot be brought up */
    const char *storages; /* --storage LIST, or NULL */
} LabUpOptions;

/** lab_up: a lab with lab->nodes hosts. Says on standard output what it does. What it made is
 *  removed again if it fails or is interrupted. */
bool lab_up(Lab *lab, const LabUpOptions *options, GError **error);

/**
 * lab_down: kills every process of the lab and removes everything of it, also of one that was
 *   killed itself.
 *
 * Returns: false with Q_ERROR_BUSY if somebody else had left something in it (which is removed all
 *   the same, and named in the message)
 */
bool lab_down(Lab *lab, GError **error);
