#pragma once
#include "api/qemu.h"
#include "guest/file.h"
#include "guest/lifecycle.h"
#include "storage/storage.h"

#define QEMU_PARAM_NODE(Type) API_PARAM(Type, node, API_NODE, .doc = "Node that the guest is on.")
#define QEMU_PARAM_VMID(Type) API_PARAM(Type, vmid, API_VMID, .doc = "Guest id.")
#define QEMU_PARAM_SKIPLOCK(Type)                                                                  \
    API_PARAM(Type, skiplock, API_BOOLEAN, .optional = true,                                       \
              .doc = "Act in spite of `lock` (root@pam only).")

/* The keys of guest/core/schema.c as parameters. */
extern const ApiSplice qemu_keys;

/** qemu_blame: as api_blame(); in a task, whose only answer is its last line, the message itself
 *  names the key. Returns: always false. */
bool qemu_blame(ApiCall *call, GError **error, const char *key, const char *why);

/** qemu_check_value: what can be told of a drive before anything is made: storage, image, size. */
bool qemu_check_value(ApiCall *call, StorageSet *set, const char *key, const char *value,
                      GError **error);

/** qemu_check_skiplock: Errors: DENIED "Only root may use this option." */
bool qemu_check_skiplock(ApiCall *call, bool skiplock, GError **error);

/** qemu_check_key: may the caller set or delete @key of guest @vmid? @value NULL: delete.
 *  @present (nullable): what is there now */
bool qemu_check_key(ApiCall *call, uint32_t vmid, const char *key, const char *value,
                    const char *present, GError **error);

/**
 * qemu_prepare_value: what is written for what a user gave: makes disks, MAC addresses, ids, puts
 * tags in order. @made: volumes made are added. Returns: (transfer full); NULL with an error that
 * blames @key
 */
char *qemu_prepare_value(ApiCall *call, StorageSet *set, uint32_t vmid, const char *key,
                         const char *value, GPtrArray *made, GError **error);

char *qemu_new_mac(ApiCall *call); /* (transfer full): by `mac_prefix` of datacenter.cfg */

/** qemu_guest_call: for guest/lifecycle.h, logging to the task. */
bool qemu_guest_call(ApiCall *call, uint32_t vmid, GuestCall *guest, GError **error);

/** qemu_check_exists: an early, clear refusal. */
bool qemu_check_exists(ApiCall *call, uint32_t vmid, GError **error);

/** qemu_config_json: the keys of @section as an answer: numbers where the key is one. */
JsonObject *qemu_config_json(const GuestSection *section);
