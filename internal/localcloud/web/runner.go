package web

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"github.com/patchbay/patchbay/internal/arm/id"
)

// dir is a folder of one site's own.
func (s *Sites) dir(siteID, name string) string {
	sum := sha256.Sum256([]byte(id.Fold(siteID)))
	return filepath.Join(s.cloud.Dir("sites"), hex.EncodeToString(sum[:8]), name)
}

func (s *Sites) logFile(siteID string) string { return filepath.Join(s.dir(siteID, ""), "app.log") }
