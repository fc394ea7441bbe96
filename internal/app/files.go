package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/patchbay/patchbay/internal/compute"
	"github.com/patchbay/patchbay/internal/compute/compose"
	"github.com/patchbay/patchbay/internal/compute/process"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/engine"
	"github.com/patchbay/patchbay/internal/problem"
	"github.com/patchbay/patchbay/internal/target"
)

// composeFiles are the names that Docker Compose looks for, in its order.
func composeFiles() []string {
	return []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
}

// sourceFile makes the id of a source that is a file of this machine.
func sourceFile(source string, options map[string]string) (string, error) {
	if source != "compose" {
		path, err := absolute(options["env-file"])
		return connection.FileID(connection.TypeEnvFile, path), err
	}
	path := options["file"]
	for _, name := range composeFiles() {
		if info, err := os.Stat(name); path == "" && err == nil && info.Mode().IsRegular() {
			path = name
		}
	}
	if path == "" {
		return "", problem.New(problem.SourceNotFound, "", "this folder holds no Compose file").WithFix("name it: --file PATH")
	}
	path, err := absolute(path)
	return connection.FileID(connection.TypeComposeService, path, options["service"]), err
}

func absolute(path string) (string, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return "", problem.New(problem.SourceNotFound, path, "the folder of %s is not known", path).Because(err)
	}
	return whole, nil
}

// fileDrivers adds the drivers of files of this machine. A server has none: its files are
// nobody's to name over the network.
func (s *station) fileDrivers(all engine.Drivers) engine.Drivers {
	if !s.place.files {
		return all
	}
	own := engine.Drivers{
		connection.KindSetting: {connection.TypeEnvFile: process.NewSetting(), connection.TypeComposeEnvFile: process.NewComposeSetting(), connection.TypeSecretFolder: compose.SecretFile{}},
		connection.KindObject:  {connection.TypeComposeService: compose.Entry{}},
	}
	for kind, byType := range own {
		if all[kind] == nil {
			all[kind] = map[string]engine.Driver{}
		}
		for name, d := range byType {
			all[kind][name] = d
		}
	}
	return all
}

// readFile reads a file of this machine as a source.
func (s *station) readFile(ctx context.Context, id string) (target.Source, error) {
	if !s.place.files {
		return target.Source{}, problem.New(problem.SourceUnsupported, id, "a server connects no files: they belong to the machine that a command runs on").
			WithFix("choose a context that works in the command's own process")
	}
	var outbound []string
	if s.place.egress != "" {
		outbound = []string{s.place.egress}
	}
	var source *compute.Source
	var err error
	if strings.EqualFold(connection.TypeOf(id), connection.TypeComposeService) {
		source, err = compose.Sources{Outbound: outbound}.Source(ctx, id)
	} else {
		source, err = process.Sources{Outbound: outbound}.Source(ctx, id)
	}
	if err != nil {
		return target.Source{}, err
	}
	return target.Source{Addresses: source.Outbound, NotInNames: source.NotInNames}, nil
}
