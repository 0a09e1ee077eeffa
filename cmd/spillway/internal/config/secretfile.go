package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// FileSuffix ends the name of a variable that says in which file a secret is, as
// orchestrators mount them: SPILLWAY_STRIPE_KEY_FILE=/run/secrets/stripe-key.
const FileSuffix = "_FILE"

// secretFileMax bounds a secret's file, in bytes: a key is a hundred, and what is
// longer by far is another file.
const secretFileMax = 16 << 10

// ErrSecretFile says that a secret cannot be had from its file.
var ErrSecretFile = errors.New("secret's file")

// secretType is the type of flags that hold a secret, or a list of them.
var secretType = reflect.TypeFor[Secret]()

// isSecret tells whether a flag holds a secret.
func isSecret(f *kong.Flag) bool {
	t := f.Target.Type()
	return t == secretType || t.Kind() == reflect.Slice && t.Elem() == secretType
}

// SecretFiles reads secrets from the files that variables ending in FileSuffix name.
// A flag on the command line wins; a variable beside its file is refused, for nobody
// could say which one holds. Line ends around the secret are cut off. environ is as
// os.Environ gives it. Errors: ErrSecretFile, which quotes no content.
func SecretFiles(environ []string) kong.Resolver {
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		if !isSecret(f) {
			return nil, nil
		}
		for _, name := range f.Envs {
			path, named := lookUp(environ, name+FileSuffix)
			if !named {
				continue
			}
			if _, both := lookUp(environ, name); both {
				return nil, fmt.Errorf("%w: %s and %s%s are both set; keep one", ErrSecretFile, name, name, FileSuffix)
			}
			secret, err := readSecret(path)
			if err != nil {
				return nil, fmt.Errorf("%w: %s%s: %w", ErrSecretFile, name, FileSuffix, err)
			}
			return secret, nil
		}
		return nil, nil
	})
}

func lookUp(environ []string, name string) (value string, ok bool) {
	i := slices.IndexFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
	if i < 0 {
		return "", false
	}
	return environ[i][len(name)+1:], true
}

func readSecret(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(io.LimitReader(file, secretFileMax+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	secret := strings.Trim(string(content), "\r\n")
	switch {
	case len(content) > secretFileMax:
		return "", fmt.Errorf("%s has more than %d bytes: is it the right file?", path, secretFileMax)
	case secret == "":
		return "", fmt.Errorf("%s is empty", path)
	case strings.ContainsAny(secret, "\r\n"):
		return "", fmt.Errorf("%s has several lines: one secret is one line", path)
	}
	return secret, nil
}
