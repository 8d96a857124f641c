package httpapi

import (
	_ "embed"
	"net/http"
)

// openapiYAML describes every endpoint and every error. The tests hold the server to it.
//
//go:embed openapi.yaml
var openapiYAML []byte

// openapi serves the description.
func openapi(c *call) error {
	c.Header()["Content-Type"] = []string{"application/yaml"}
	c.WriteHeader(http.StatusOK)
	_, err := c.Write(openapiYAML)
	return err
}
