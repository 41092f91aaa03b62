package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"

	"evenkeel/internal/version"
)

// entry is a file of an archive: its name there, its source, and its mode.
type entry struct {
	name, source string
	mode         int64
}

// epoch is the time of every file in the archives, so that they do not depend on the time of the build.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// writeArchive writes a .tar.gz without times, users and groups of this machine.
func writeArchive(name string, entries []entry) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	packed, err := gzip.NewWriterLevel(file, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(packed)
	for _, e := range entries {
		if err := addFile(archive, e); err != nil {
			return fmt.Errorf("pack %s: %w", e.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return packed.Close()
}

func addFile(archive *tar.Writer, e entry) error {
	source, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{
		Name: e.name, Size: info.Size(), Mode: e.mode, ModTime: epoch, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
	}); err != nil {
		return err
	}
	_, err = io.Copy(archive, source)
	return err
}

// describe returns the software bill of materials of a built program: CycloneDX 1.6 in JSON, with every module that the
// linker put into it. It has no serial number and no time, so that it is the same for the same program.
func describe(binary, command string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read the modules of %s: %w", command, err)
	}
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = ""
	bom.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{
		BOMRef: command, Type: cyclonedx.ComponentTypeApplication, Name: command, Version: version.Version,
		Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
	}}
	components := []cyclonedx.Component{{
		BOMRef: "pkg:golang/std@" + info.GoVersion, Type: cyclonedx.ComponentTypeLibrary, Name: "std",
		Version: info.GoVersion, PackageURL: "pkg:golang/std@" + info.GoVersion,
	}}
	for _, module := range info.Deps {
		used := module
		if used.Replace != nil && used.Replace.Version != "" {
			used = used.Replace
		}
		url := "pkg:golang/" + used.Path + "@" + used.Version
		components = append(components, cyclonedx.Component{
			BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: used.Path, Version: used.Version, PackageURL: url,
		})
	}
	bom.Components = &components
	var text bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true)
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("write the bill of materials of %s: %w", command, err)
	}
	return text.Bytes(), nil
}
