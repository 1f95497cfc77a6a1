// Package definitions names a package of the Gateway API, so that `go mod tidy` keeps the module.
package definitions

import _ "sigs.k8s.io/gateway-api/apis/v1"
