#pragma once
#include "api/method.h"

/** api_method_at: the row number @n of all areas, pathless ones too; NULL behind the last. */
const ApiMethod *api_method_at(size_t n);
