// Package deploy holds what a running relay is made from: the sample configuration, which it hands to programs, and
// the container and service files beside it. It installs nothing.
package deploy

import (
	_ "embed"
	"strings"
)

//go:embed imrelay.example.yaml
var english string

//go:embed imrelay.example.zh-CN.yaml
var chinese string

// Sample returns the commented sample configuration in the language of a locale such as zh_CN.UTF-8: Chinese for zh,
// English for all others. The values are the same in both.
func Sample(locale string) string {
	if strings.HasPrefix(strings.ToLower(locale), "zh") {
		return chinese
	}
	return english
}
