package hublink

import "context"

// List returns the links of all hubs to a provisioning service, without their keys, in the order of the service.
func (c *Client) List(ctx context.Context, service string) ([]Link, error) {
	ctx, cancel := context.WithTimeout(ctx, c.pace.Patience)
	defer cancel()
	d, _, err := c.open(ctx, service)
	if err != nil {
		return nil, err
	}
	links := make([]Link, len(d.hubs))
	for i := range d.hubs {
		if links[i], err = d.link(i); err != nil {
			return nil, err
		}
	}
	return links, nil
}
