#pragma once
#include "api/method.h"

/* Virtual machines: /nodes/{node}/qemu/…, and what only `qm` has. */
extern const ApiMethod api_qemu_list;
extern const ApiMethod api_qemu_create;
extern const ApiMethod api_qemu_destroy;
extern const ApiMethod api_qemu_config;
extern const ApiMethod api_qemu_config_set;   /* at once */
extern const ApiMethod api_qemu_config_async; /* as a task */
extern const ApiMethod api_qemu_pending;
extern const ApiMethod api_qemu_status;
extern const ApiMethod api_qm_status; /* of qm: on this node */
extern const ApiMethod api_qemu_start;
extern const ApiMethod api_qemu_stop;
extern const ApiMethod api_qemu_shutdown;
extern const ApiMethod api_qemu_reboot;
extern const ApiMethod api_qemu_reset;
extern const ApiMethod api_qemu_suspend;
extern const ApiMethod api_qemu_resume;
extern const ApiMethod api_qemu_monitor;
extern const ApiMethod api_qemu_showcmd;
extern const ApiMethod api_qemu_unlock;
extern const ApiMethod api_qemu_recover;

extern const ApiMethod *const api_qemu_methods[];
