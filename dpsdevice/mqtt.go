package dpsdevice

import (
	"context"
	"net/url"

	"evenkeel/internal/azure/sas"
)

const registrationAnswers = "$dps/registrations/res/"

// mqttRegistrar calls the device API over MQTT.
type mqttRegistrar struct{ *session }

func openMQTT(ctx context.Context, o Options) (registrar, error) {
	resource := o.IDScope + "/registrations/" + o.RegistrationID
	password, err := o.Credential.password(resource, sas.Policy, clock(o.Now))
	if err != nil {
		return nil, err
	}
	s, err := connect(ctx, login{
		host: o.Host, clientID: o.RegistrationID, user: resource + "/api-version=" + o.version(),
		password:   password,
		credential: o.Credential, network: o.Network, clean: true,
	}, registrationAnswers)
	if err != nil {
		return nil, err
	}
	return &mqttRegistrar{s}, nil
}

func (m *mqttRegistrar) register(ctx context.Context, body []byte) (answer, error) {
	return m.ask(ctx, func(id string) string { return "$dps/registrations/PUT/iotdps-register/?$rid=" + id }, body)
}

func (m *mqttRegistrar) poll(ctx context.Context, operation string) (answer, error) {
	return m.ask(ctx, func(id string) string {
		return "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=" + id + "&operationId=" +
			url.QueryEscape(operation)
	}, nil)
}

func (m *mqttRegistrar) ask(ctx context.Context, topic func(string) string, body []byte) (answer, error) {
	r, err := m.request(ctx, topic, body)
	if err != nil {
		return answer{}, err
	}
	return answer{r.status, seconds(r.query.Get("retry-after")), r.payload}, nil
}
