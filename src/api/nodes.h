#pragma once
#include "api/method.h"

/* Nodes: the list, one node's figures. */
extern const ApiMethod api_nodes_list;
extern const ApiMethod api_nodes_index;
extern const ApiMethod api_nodes_status;
extern const ApiMethod api_nodes_time;
extern const ApiMethod *const api_nodes_methods[];
