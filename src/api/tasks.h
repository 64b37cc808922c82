#pragma once
#include "api/method.h"

/* Tasks: of a node, one of them, its log; of the cluster. */
extern const ApiMethod api_tasks_list;
extern const ApiMethod api_tasks_index;
extern const ApiMethod api_tasks_stop;
extern const ApiMethod api_tasks_status;
extern const ApiMethod api_tasks_log;
extern const ApiMethod api_tasks_cluster;
extern const ApiMethod *const api_tasks_methods[];
