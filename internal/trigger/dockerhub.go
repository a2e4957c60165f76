package trigger

import (
	"strings"

	"github.com/liverty-music/image-writeback/internal/image"
)

// readDockerHub reads https://docs.docker.com/docker-hub/webhooks/.
func readDockerHub(m message) ([]Trigger, error) {
	var body struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			RepoName  string `json:"repo_name"`
			Namespace string `json:"namespace"`
			Name      string `json:"name"`
		} `json:"repository"`
	}
	if err := Decode(m.body, &body); err != nil {
		return nil, err
	}

	name := body.Repository.RepoName
	if name == "" && body.Repository.Name != "" {
		name = strings.TrimPrefix(body.Repository.Namespace+"/"+body.Repository.Name, "/")
	}

	return pushedImage("", image.DockerHub, name, body.PushData.Tag)
}
