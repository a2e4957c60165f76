package trigger

import "errors"

// readAliyun reads
// https://www.alibabacloud.com/help/en/acr/user-guide/manage-webhooks. The
// message does not name an Enterprise Edition instance: registry_url in the
// webhook's address does, as in Argo CD Image Updater.
func readAliyun(m message) ([]Trigger, error) {
	var body struct {
		PushData struct {
			Tag string `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			FullName string `json:"repo_full_name"`
			Region   string `json:"region"`
		} `json:"repository"`
	}
	if err := Decode(m.body, &body); err != nil {
		return nil, err
	}

	registry := ""
	if given := m.query["registry_url"]; len(given) > 0 {
		registry = registryOf(given[0])
	} else if body.Repository.Region != "" {
		registry = "registry." + body.Repository.Region + ".aliyuncs.com"
	}
	if registry == "" {
		return nil, errors.New("the message names no region, and the webhook's address has no registry_url")
	}

	return pushedImage("", registry, body.Repository.FullName, body.PushData.Tag)
}
