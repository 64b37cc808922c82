#pragma once
#include "api/method.h"

/* Logins, users, roles, permissions. */
extern const ApiMethod api_access_index;
extern const ApiMethod api_access_ticket_get;
extern const ApiMethod api_access_ticket_create;
extern const ApiMethod api_access_domains;
extern const ApiMethod api_access_permissions;
extern const ApiMethod api_access_users;
extern const ApiMethod api_access_user_create;
extern const ApiMethod api_access_user_read;
extern const ApiMethod api_access_user_update;
extern const ApiMethod api_access_user_delete;
extern const ApiMethod api_access_roles;
extern const ApiMethod api_access_role_read;
extern const ApiMethod api_access_acl;
extern const ApiMethod api_access_acl_update;
extern const ApiMethod *const api_access_methods[];
