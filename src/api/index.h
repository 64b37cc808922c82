#pragma once
#include "api/method.h"

/** api_children: Returns: (transfer full): [{KEY: "qemu"}, …]: the literal names one level below
 *  @path, as the table has them. For index methods. */
JsonNode *api_children(const char *path, const char *key);
