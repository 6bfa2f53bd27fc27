package machine

import (
	"time"

	"github.com/trifid-cloud/trifid/internal/agentapi"
	"github.com/trifid-cloud/trifid/internal/one"
)

// ImageStepTime is how long the step of an image may take.
const ImageStepTime = 6 * time.Hour

// ImageStep returns the operation that leaves an image's state, false when the
// state is not a passing one. Source: resources reference §3.2 and §3.3.
func ImageStep(i *one.Image) (agentapi.Op, bool) {
	switch {
	case i.State == one.ImageDelete:
		return agentapi.OpImageDelete, true
	case !i.State.Copying():
		return "", false
	case i.CloningID >= 0:
		return agentapi.OpImageClone, true
	case i.Path != "":
		return agentapi.OpImageImport, true
	}
	return agentapi.OpImageCreate, true
}
