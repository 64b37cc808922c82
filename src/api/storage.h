#pragma once
#include "api/method.h"

/* Storages: /storage, /nodes/{node}/storage/…, and what only `pvesm` has. */
extern const ApiMethod api_storage_index;
extern const ApiMethod api_storage_create;
extern const ApiMethod api_storage_read;
extern const ApiMethod api_storage_update;
extern const ApiMethod api_storage_delete;
extern const ApiMethod api_storage_status;  /* of every storage, on a node */
extern const ApiMethod api_storage_one;     /* of one */
extern const ApiMethod api_storage_content; /* volumes */
extern const ApiMethod api_storage_alloc;
extern const ApiMethod api_storage_volume;
extern const ApiMethod api_storage_free;
extern const ApiMethod api_storage_path;

extern const ApiMethod *const api_storage_methods[];
