#pragma once
#include "api/method.h"

/* High availability: /cluster/ha/…, what the local manager has done to guests, ha-manager's own. */
extern const ApiMethod api_ha_index;

extern const ApiMethod api_ha_resources;
extern const ApiMethod api_ha_resource_create;
extern const ApiMethod api_ha_resource_read;
extern const ApiMethod api_ha_resource_update;
extern const ApiMethod api_ha_resource_delete;
extern const ApiMethod api_ha_migrate;
extern const ApiMethod api_ha_relocate;
extern const ApiMethod api_ha_stop;
extern const ApiMethod api_ha_maintenance;

extern const ApiMethod api_ha_rules;
extern const ApiMethod api_ha_rule_create;
extern const ApiMethod api_ha_rule_read;
extern const ApiMethod api_ha_rule_update;
extern const ApiMethod api_ha_rule_delete;

extern const ApiMethod api_ha_status;
extern const ApiMethod api_ha_status_current;
extern const ApiMethod api_ha_manager_status;
extern const ApiMethod api_ha_arm;
extern const ApiMethod api_ha_disarm;

extern const ApiMethod *const api_ha_methods[];
