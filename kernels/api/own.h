// own: what a backend made, handed back to it. Something of another backend is a bug.
#pragma once

#include "config/base/check.h"

namespace turnpike::kernels {

template <class T, class Base>
T& own(Base& object) {
    auto* const mine = dynamic_cast<T*>(&object);
    CHECK(mine != nullptr);
    return *mine;
}

}  // namespace turnpike::kernels
