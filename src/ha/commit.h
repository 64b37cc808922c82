#pragma once
#include "cfs/client.h"
#include "ha/core/env.h"
#include "ha/mirror.h"

/**
 * ha_commit_txn:
 *
 * One decision of a manager as one update: conditioned on the lease's generation and on every
 * version that the decision names. Texts are made from the mirror's files, which must be at those
 * versions.
 *
 * Returns: (transfer full): NULL with Q_ERROR_CONFLICT if a file has changed since, or
 *   Q_ERROR_INTERNAL for a change that cannot be
 */
CfsTxn *ha_commit_txn(const HaCommit *commit, const HaMirror *mirror, const char *node,
                      GError **error);

char *ha_guest_path(const char *node, uint32_t vmid); /* (transfer full) */
