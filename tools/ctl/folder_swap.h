// Replaces a folder by a copy of another in one step: whoever reads the path sees the old content or the new,
// never a mixture.
#pragma once

#include <string>

#include "base/result.h"

namespace sockmesh::ctl {

// Copies `from` beside `folder`, exchanges the two names (renameat2), removes the old content. On an error
// `folder` is as it was. The copy gets the owner and mode of the folder it replaces.
Result<void> replace_folder(const std::string& folder, const std::string& from);

}  // namespace sockmesh::ctl
