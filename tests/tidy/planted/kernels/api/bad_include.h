// A planted fault: kernels must not know the network. layers_test.py expects it to be found.
#pragma once

#include <sqlite3.h>

#include "config/net/http_server.h"
